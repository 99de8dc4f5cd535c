package supervisor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// reservation keeps a free TCP port of the loopback interface for one cluster,
// also while its API server is stopped.
//
// The socket is bound but never listens, so a client finds the port closed
// until the API server listens on it. The API server may bind beside this
// socket because both set SO_REUSEPORT (--permit-port-sharing) and belong to
// one user. The kernel gives a port reserved so to nobody who asks for any free
// port, which leaves no gap in which another program could take it.
type reservation struct {
	socket int
	port   int
}

func reservePort() (*reservation, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	port, err := bindAnyLoopbackPort(socket)
	if err != nil {
		unix.Close(socket)
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	return &reservation{socket: socket, port: port}, nil
}

func bindAnyLoopbackPort(socket int) (int, error) {
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	address, err := unix.Getsockname(socket)
	if err != nil {
		return 0, err
	}
	return address.(*unix.SockaddrInet4).Port, nil
}

func (r *reservation) release() { unix.Close(r.socket) }
