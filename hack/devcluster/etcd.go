package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"golang.org/x/sys/unix"
)

// How long etcd may take to start, also on a machine that is busy compiling.
const etcdStartTimeout = 60 * time.Second

// Room for long benchmarks. At the default of 2 GiB etcd turns read-only.
const etcdQuotaBytes = 8 << 30

// startEtcd runs a single etcd member with its data in dir and returns the URL
// at which this process reaches it.
//
// etcd listens on a Unix socket only. It has no access control of its own here,
// so a TCP port would let every user of the machine write around the API
// server, and a port would have to be found and could be lost to another
// program.
func startEtcd(dir string) (*embed.Etcd, string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	socket, err := socketURL(dir)
	if err != nil {
		return nil, "", err
	}

	config := embed.NewConfig()
	config.Name = "devcluster"
	config.Dir = dir
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.ListenClientUrls = []url.URL{socket}
	// What it advertises to other members and their clients stays at the default.
	// Nobody asks.
	config.ListenPeerUrls = nil
	config.EnableGRPCGateway = false
	config.LogLevel = "warn"
	config.QuotaBackendBytes = etcdQuotaBytes
	// The data need to survive a kill of the process, not one of the machine.
	config.UnsafeNoFsync = true
	// A lone member leads itself only after an election time-out, by default a
	// second. Shorter ticks cost processor time even when nothing happens.
	config.TickMs = 20
	config.ElectionMs = 100

	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, "", fmt.Errorf("start embedded etcd in %s: %w", dir, err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, socket.String(), nil
	case err := <-etcd.Err():
		return nil, "", fmt.Errorf("start embedded etcd in %s: %w", dir, err)
	case <-time.After(etcdStartTimeout):
		etcd.Close()
		return nil, "", errors.New("embedded etcd is not ready after " + etcdStartTimeout.String())
	}
}

// socketURL returns the URL of the Unix socket "etcd.sock" in dir. A socket's
// path may be 107 bytes long and test directories are often longer, so the path
// goes through a descriptor of the directory, which stays open for as long as
// the process lives.
func socketURL(dir string) (url.URL, error) {
	descriptor, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return url.URL{}, fmt.Errorf("open %s: %w", dir, err)
	}
	return url.URL{Scheme: "unix", Path: fmt.Sprintf("/proc/self/fd/%d/etcd.sock", descriptor)}, nil
}
