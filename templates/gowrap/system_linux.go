// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"strings"
	"syscall"
)

const (
	lastSignal     = syscall.Signal(64)
	sysSigaction   = syscall.SYS_RT_SIGACTION
	sysSigprocmask = syscall.SYS_RT_SIGPROCMASK
	setMask        = 2 // SIG_SETMASK

	prSetDumpable       = 4
	prSetChildSubreaper = 36
)

// names are the signals' from 1 on; signal(7).
var names = strings.Fields(`HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT
	CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS`)

// attributes puts the command into a group of its own, and lets it die with
// gowrap where gowrap is killed and can do nothing for it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// adoptOrphans makes gowrap the one that reaps what the command leaves behind.
func adoptOrphans() {
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
}

// noCore works where the core pattern is a program, too; a limit does not.
func noCore() {
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0)
}
