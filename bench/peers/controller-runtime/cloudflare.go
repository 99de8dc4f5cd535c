package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// Code of "zone already exists" (POST /zones).
	zoneExists = 1061
	// Records that one page may have; a page holds every zone of the race, and of most customers.
	recordPage = "5000"
	callLimit  = 30 * time.Second
)

// refusal is an error that the API told.
type refusal struct {
	status  int
	code    int
	message string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("Cloudflare answered %d: %s", r.status, r.message)
}

// missing says whether the zone or record is not there. Cloudflare answers 403 for a zone that it does not know.
func missing(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) && (refused.status == http.StatusForbidden || refused.status == http.StatusNotFound)
}

func hasCode(err error, code int) bool {
	var refused *refusal
	return errors.As(err, &refused) && refused.code == code
}

type zone struct {
	ID        string    `json:"id"`
	CreatedOn time.Time `json:"created_on"`
}

type record struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Content  string `json:"content"`
	TTL      int    `json:"ttl"`
	Priority *int   `json:"priority,omitempty"`
	Comment  string `json:"comment"`
}

// saysTheSame tells whether a resolver sees no difference.
func (r record) saysTheSame(other record) bool {
	samePriority := (r.Priority == nil) == (other.Priority == nil) &&
		(r.Priority == nil || *r.Priority == *other.Priority)
	return r.Name == other.Name && r.Type == other.Type && r.Content == other.Content && r.TTL == other.TTL &&
		samePriority
}

// cloudflare is a client; one for the whole operator.
type cloudflare struct {
	url     string
	token   string
	account string
	http    *http.Client
}

func newCloudflare(url, token, account string, connections int) *cloudflare {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// The default keeps two idle connections per host: with more workers, most calls would dial anew.
	transport.MaxIdleConns = connections
	transport.MaxIdleConnsPerHost = connections
	transport.MaxConnsPerHost = connections
	return &cloudflare{
		url:     strings.TrimSuffix(url, "/"),
		token:   token,
		account: account,
		http:    &http.Client{Transport: transport, Timeout: callLimit},
	}
}

func (c *cloudflare) call(ctx context.Context, method, path string, body, result any) error {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, content)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Success bool
		Errors  []struct {
			Code    int
			Message string
		}
		Result json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s %s: answer %d: %w", method, path, response.StatusCode, err)
	}
	// The connection goes back into the pool only when everything was read.
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode >= http.StatusBadRequest || !answer.Success {
		refused := &refusal{status: response.StatusCode}
		if len(answer.Errors) > 0 {
			refused.code, refused.message = answer.Errors[0].Code, answer.Errors[0].Message
		}
		return refused
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}

// findZone returns the zone of this name, or nil.
func (c *cloudflare) findZone(ctx context.Context, name string) (*zone, error) {
	var zones []zone
	if err := c.call(ctx, http.MethodGet, "/zones?name="+url.QueryEscape(name), nil, &zones); err != nil {
		return nil, err
	}
	if len(zones) == 0 {
		return nil, nil
	}
	return &zones[0], nil
}

func (c *cloudflare) createZone(ctx context.Context, name string) (*zone, error) {
	body := map[string]any{"name": name, "account": map[string]string{"id": c.account}, "type": "full"}
	made := new(zone)
	return made, c.call(ctx, http.MethodPost, "/zones", body, made)
}

func (c *cloudflare) deleteZone(ctx context.Context, zone string) error {
	return c.call(ctx, http.MethodDelete, "/zones/"+zone, nil, nil)
}

func (c *cloudflare) records(ctx context.Context, zone string) ([]record, error) {
	var records []record
	err := c.call(ctx, http.MethodGet, "/zones/"+zone+"/dns_records?per_page="+recordPage, nil, &records)
	return records, err
}

func (c *cloudflare) createRecord(ctx context.Context, zone string, wanted record) error {
	return c.call(ctx, http.MethodPost, "/zones/"+zone+"/dns_records", wanted, nil)
}

func (c *cloudflare) changeRecord(ctx context.Context, zone, id string, wanted record) error {
	return c.call(ctx, http.MethodPatch, "/zones/"+zone+"/dns_records/"+id, wanted, nil)
}

func (c *cloudflare) deleteRecord(ctx context.Context, zone, id string) error {
	return c.call(ctx, http.MethodDelete, "/zones/"+zone+"/dns_records/"+id, nil, nil)
}
