//go:build unix

package realdb

import (
	"os"
	"os/exec"
	"syscall"
)

// nobody is who runs the servers when the tests run as root: PostgreSQL and
// MariaDB refuse root. The number is the same on all systems that Go's tests
// run on as root, which are containers.
const nobody = 65534

func chown(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, nobody, nobody)
}

func demote(cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}

// stop asks a server to end.
func stop(cmd *exec.Cmd) { cmd.Process.Signal(syscall.SIGTERM) }
