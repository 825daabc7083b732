package realdb

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"net"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// redisPing speaks the protocol itself: a client library would retry and log.
func redisPing(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && answer != "+PONG\r\n" {
		err = fmt.Errorf("answered %q to PING", answer)
	}
	return err
}

func sqlPing(ctx context.Context, driver, dsn string) error {
	c, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.PingContext(ctx)
}
