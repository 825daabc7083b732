//go:build unix

package spanstore_test

import (
	"os"
	"os/exec"
	"syscall"
)

// asNobody lets a child of root run without root's rights.
func asNobody(c *exec.Cmd) {
	if os.Getuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
}
