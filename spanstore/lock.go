package spanstore

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const lockName = "lock"

// lockDir takes the directory for this process. The file that is returned holds
// the lock until it is closed; it names the holder for others to read.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, elsewhere)
	}
	ok, err := tryLock(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	if !ok {
		defer f.Close()
		holder, _ := io.ReadAll(io.LimitReader(f, 64))
		who := "another process"
		if pid := strings.TrimSpace(string(holder)); pid != "" {
			who = "process " + pid
		}
		return nil, fmt.Errorf("%s holds the directory: stop it, or give each process a directory of its own", who)
	}
	// Best effort: the lock holds without the name in it.
	_ = f.Truncate(0)
	_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return f, nil
}
