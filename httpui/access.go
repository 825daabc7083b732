package httpui

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Access is what the sender of a request may see.
type Access int

const (
	// NoAccess refuses the request.
	NoAccess Access = iota

	// HideValues shows names, times and figures. The values of attributes (of
	// spans, events, links, scopes and, but for service.name, resources),
	// status texts and trace states are replaced by "(hidden)".
	HideValues

	// ShowValues shows everything.
	ShowValues
)

// remedy is what a refusal says about how to be let in.
const remedy = "Only this machine may look, under the name localhost. To let others in, set httpui.Options.Authorize to a function that says who may."

// access asks Options.Authorize, or the rule that stands for it. It returns the
// reason of a refusal.
func (h *handler) access(r *http.Request) (a Access, why string) {
	if h.opts.Authorize == nil {
		if why := foreign(r); why != "" {
			return NoAccess, "access refused: " + why
		}
		return ShowValues, ""
	}
	if a := h.opts.Authorize(r); a == HideValues || a == ShowValues {
		return a, ""
	}
	return NoAccess, "access refused: httpui.Options.Authorize does not let this request look"
}

// Local reports whether a request comes from this machine and was meant for it:
// the peer's address and the Host are loopback, and no header (Forwarded,
// X-Forwarded-*, X-Real-Ip) says that it was passed on. It is what Options.Authorize
// stands for when it is nil.
func Local(r *http.Request) bool { return foreign(r) == "" }

// foreign says why a request is not local, "" when it is.
func foreign(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return fmt.Sprintf("it came from %q, which is not a loopback address", r.RemoteAddr)
	}
	if !loopbackHost(r.Host) {
		return fmt.Sprintf("its Host is %q, not localhost", r.Host)
	}
	for name := range r.Header {
		name := http.CanonicalHeaderKey(name)
		if name == "Forwarded" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return fmt.Sprintf("its header %s says that it was forwarded", name)
		}
	}
	return ""
}

// loopbackHost reports whether a Host header names this machine. A name other
// than localhost may belong to anybody, whatever it resolves to.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
