// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

package main

import (
	"strings"
	"syscall"
)

const (
	lastSignal     = syscall.Signal(31)
	sysSigaction   = syscall.SYS_SIGACTION
	sysSigprocmask = syscall.SYS_SIGPROCMASK
	setMask        = 3 // SIG_SETMASK
)

// names are the signals' from 1 on; <sys/signal.h>.
var names = strings.Fields(`HUP INT QUIT ILL TRAP ABRT EMT FPE KILL BUS SEGV SYS PIPE ALRM TERM URG
	STOP TSTP CONT CHLD TTIN TTOU IO XCPU XFSZ VTALRM PROF WINCH INFO USR1 USR2`)

// attributes puts the command into a group of its own.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// adoptOrphans has nothing to do: launchd reaps them.
func adoptOrphans() {}

func noCore() {
	syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
