// Copyright The gobuild authors. All rights reserved.
// Use of this source code is governed by a BSD-style
// license that can be found in the LICENSE file.

//go:build linux || darwin

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	argv, env  []string
	ignore     map[syscall.Signal]bool
	forward    map[syscall.Signal]bool
	startLimit time.Duration
	stopLimit  time.Duration
	readyFile  string
}

// words collects the values of a flag that may be given several times.
type words []string

func (w *words) String() string { return strings.Join(*w, " ") }

func (w *words) Set(word string) error {
	*w = append(*w, word)
	return nil
}

func parse(args []string) (options, error) {
	var o options
	var allow words
	flags := flag.NewFlagSet("gowrap", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: gowrap [flags] [--] COMMAND [ARGUMENT]...")
		flags.PrintDefaults()
	}
	flags.Var(&allow, "env", "`WORD`s: a variable that may pass (HOME), the beginning of names (LC_*), or a setting (A=b); "+
		"may be repeated. Without any, the environment is empty")
	ignore := flags.String("ignore", "", "signals, with commas, that the command is started ignoring (`LIST`: HUP,PIPE)")
	forward := flags.String("forward", "all", "signals, with commas, that are handed on (`LIST`: all, none, TERM,INT); "+
		"gowrap swallows the others")
	flags.DurationVar(&o.startLimit, "start-limit", 0, "how long the command may take until its first output, "+
		"until it makes the -ready-file, or until it ends; then its process group is ended (10s)")
	flags.StringVar(&o.readyFile, "ready-file", "", "a `FILE` that the command makes when it is ready; removed before the start")
	flags.DurationVar(&o.stopLimit, "stop-limit", 0, "how long the command may take to end after HUP, INT, QUIT or TERM; "+
		"then its process group is killed, and whatever is left of the group when the command has ended (15s)")
	if err := flags.Parse(args); err != nil {
		os.Exit(exitOwn) // the flag package has said why
	}
	o.argv = flags.Args()
	var err error
	switch {
	case len(o.argv) == 0:
		return o, errors.New("no command given")
	case o.startLimit < 0 || o.stopLimit < 0:
		return o, errors.New("a limit is negative")
	case o.readyFile != "" && o.startLimit == 0:
		return o, errors.New("-ready-file means nothing without -start-limit")
	}
	if o.env, err = environment(allow, os.Environ()); err != nil {
		return o, err
	}
	if o.ignore, err = signals(*ignore, false); err != nil {
		return o, err
	}
	o.forward, err = signals(*forward, true)
	return o, err
}

// environment picks the variables that may pass, in their order; settings
// come last, and a setting takes the place of what had its name.
func environment(allow, environ []string) ([]string, error) {
	var passed []string
	for _, word := range allow {
		name, _, setting := strings.Cut(word, "=")
		if at := strings.IndexByte(name, '*'); name == "" || at >= 0 && (setting || at != len(name)-1) {
			return nil, fmt.Errorf("-env %q is neither NAME, nor PREFIX*, nor NAME=value", word)
		}
	}
	for _, variable := range environ {
		name, _, ok := strings.Cut(variable, "=")
		for _, word := range allow {
			prefix := strings.TrimSuffix(word, "*")
			if ok && (word == name || prefix != word && strings.HasPrefix(name, prefix)) {
				passed = append(passed, variable)
				break
			}
		}
	}
	for _, word := range allow {
		name, _, setting := strings.Cut(word, "=")
		if setting {
			var kept []string
			for _, each := range passed {
				if !strings.HasPrefix(each, name+"=") {
					kept = append(kept, each)
				}
			}
			passed = append(kept, word)
		}
	}
	if passed == nil {
		passed = []string{} // nil would be everything
	}
	return passed, nil
}

func lookup(env []string, name string) (string, bool) {
	for _, each := range env {
		if value, ok := strings.CutPrefix(each, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func hasSlash(path string) bool { return strings.Contains(path, "/") }

// signals reads a list of names, with or without SIG, and of numbers.
func signals(list string, named bool) (map[syscall.Signal]bool, error) {
	chosen := map[syscall.Signal]bool{}
	switch {
	case list == "" || named && list == "none":
		return chosen, nil
	case named && list == "all":
		for sig := syscall.Signal(1); sig <= lastSignal; sig++ {
			chosen[sig] = catchable(sig)
		}
		return chosen, nil
	}
	for _, word := range strings.Split(list, ",") {
		sig, err := number(word)
		switch {
		case err != nil:
			return nil, err
		case sig == syscall.SIGTTIN || sig == syscall.SIGTTOU:
			// Nothing to hand on, but they can be ignored.
			if named {
				return nil, fmt.Errorf("signal %s cannot be handed on: it is about gowrap's own terminal", word)
			}
		case !catchable(sig):
			return nil, fmt.Errorf("signal %s can be neither ignored nor handed on here", word)
		}
		chosen[sig] = true
	}
	return chosen, nil
}

func number(word string) (syscall.Signal, error) {
	name := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(word)), "SIG")
	for at, each := range names {
		if each == name {
			return syscall.Signal(at + 1), nil
		}
	}
	if n, err := strconv.Atoi(name); err == nil && 1 <= n && n <= int(lastSignal) {
		return syscall.Signal(n), nil
	}
	return 0, fmt.Errorf("no signal %q", word)
}

// catchable tells whether a Go program can take a signal from outside and
// hand it on. The kernel keeps KILL and STOP; CHLD is about gowrap's own
// child; TTIN and TTOU are about its own terminal; Go's runtime sends itself
// URG, and keeps PROF and, on Linux, 32 to 34, which are the C library's.
func catchable(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGURG, syscall.SIGPROF:
		return false
	}
	return sig < 32 || sig > 34
}
