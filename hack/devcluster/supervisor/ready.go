package supervisor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	readyTimeout = 2 * time.Minute
	readyPoll    = 25 * time.Millisecond
)

// prober asks the API server whether it is ready, as a client that verifies
// its certificate.
type prober struct {
	client *http.Client
	server string
	token  string
}

func newProber(server string, made *credentials) *prober {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(made.caPEM)
	return &prober{
		client: &http.Client{
			Timeout: 5 * time.Second,
			Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: roots},
				// A kept connection would survive a stop of the server only to
				// fail the first question to the next.
				DisableKeepAlives: true,
			},
		},
		server: server,
		token:  made.admin.token,
	}
}

// wait returns when the server is ready and has made the namespace "default",
// which it does some time after it calls itself ready.
func (p *prober) wait(ctx context.Context, server *process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errors.New("not ready after "+readyTimeout.String()))
	defer cancel()
	for _, path := range []string{"/readyz", "/api/v1/namespaces/default"} {
		for p.ask(ctx, path) != http.StatusOK {
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for %s%s: %w\n%s", p.server, path, context.Cause(ctx), logTail(server.logPath))
			case <-server.done:
				return server.failure()
			case <-time.After(readyPoll):
			}
		}
	}
	return nil
}

// ask returns the status, or 0 when there is no answer.
func (p *prober) ask(ctx context.Context, path string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.server+path, nil)
	if err != nil {
		return 0
	}
	request.Header.Set("Authorization", "Bearer "+p.token)
	answer, err := p.client.Do(request)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}
