package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestEveryLinkLeadsSomewhere collects the links of all states of all pages, asks for
// each, and follows one of each kind in the page.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	from := map[string]looked{} // a state that has the link, by the link
	for _, s := range everyState(t) {
		p := newTab(t, 1280, 900)
		if s.expect != "" {
			p.expect(s.expect)
		}
		p.open(s.url, s.ready)
		if s.then != nil {
			s.then(p)
		}
		for _, link := range linksOf(p) {
			if _, known := from[link]; !known {
				from[link] = s
			}
		}
		p.close()
	}

	kinds := map[string]string{} // one link of each kind
	for link, s := range from {
		u, err := url.Parse(link)
		at, _ := url.Parse(s.url)
		switch {
		case err != nil || u.Scheme != at.Scheme || u.Host != at.Host:
			t.Errorf("%s: the link %q leads elsewhere", s.name, link)
			continue
		case u.Scheme == "file":
			if u.Path != at.Path {
				t.Errorf("%s: the link %q leads out of the file", s.name, link)
			}
		case s.expect != "" && strings.HasPrefix(link, s.url+"#"): // within a page that says what is wrong
		default:
			if status := statusOf(t, link); status >= 400 {
				t.Errorf("%s: the link %q is answered with %d", s.name, link, status)
			}
		}
		if kind := kindOf(u); kinds[kind] == "" || link < kinds[kind] {
			kinds[kind] = link
		}
	}
	if len(from) < 60 || len(kinds) < 20 {
		t.Errorf("got %d links of %d kinds; want at least 60 of 20", len(from), len(kinds))
	}
	for kind, link := range kinds {
		t.Run(kind, func(t *testing.T) { follow(t, from[link], link) })
	}
}

// linksOf are the addresses of all links of a page; downloads and links that only the
// page itself understands are among them.
func linksOf(p *tab) []string {
	p.t.Helper()
	for _, bad := range eval[[]string](p, `[...document.querySelectorAll("a")].filter((a) => ["", "#"].includes(a.getAttribute("href"))).map((a) => a.outerHTML.slice(0, 200))`) {
		p.t.Errorf("this link leads nowhere: %s", bad)
	}
	return eval[[]string](p, `[...new Set([...document.querySelectorAll("a[href]")].map((a) => a.href))]`)
}

func statusOf(t *testing.T, link string) int {
	t.Helper()
	r, err := http.NewRequest("GET", link, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

var hexID = regexp.MustCompile(`[0-9a-f]{16,32}`)

// kindOf is a link without what differs from one trace or service to the next.
func kindOf(u *url.URL) string {
	var names []string
	for name, values := range u.Query() {
		if slices.Contains([]string{"format", "as", "order", "on", "last"}, name) {
			name += "=" + values[0]
		}
		names = append(names, name)
	}
	slices.Sort(names)
	path := hexID.ReplaceAllString(u.Path, "ID")
	if u.Scheme == "file" {
		path = "file"
	}
	fragment, _, _ := strings.Cut(u.Fragment, "=")
	return strings.Join([]string{path, strings.Join(names, "&"), fragment}, " ")
}

// follow clicks on a link where it was found: the page then is at its address, and
// shows no error; a download does not move the page.
func follow(t *testing.T, s looked, link string) {
	p := newTab(t, 1280, 900)
	p.expect("/favicon.ico") // the browser's wish beside JSON and text, at the host's root
	if s.expect != "" {
		p.expect(s.expect)
	}
	p.open(s.url, s.ready)
	if s.then != nil {
		s.then(p)
	}
	find := fmt.Sprintf(`[...document.querySelectorAll("a[href]")].find((a) => a.href === %q)`, link)
	p.awaitThat("the link is there", find)
	switch {
	case eval[bool](p, find+`.hasAttribute("download")`):
		return // its status is known; TestDownloadLinks and TestHostileOnEveryPage read the files
	case eval[bool](p, find+`.classList.contains("skip")`):
		p.run(chromedp.Evaluate[chromedp.Void](find + ".click()"))
		p.awaitThat("the content has the focus", `document.activeElement.id === "main"`)
		return
	}
	p.run(chromedp.Evaluate[chromedp.Void](`setTimeout(() => ` + find + `.click())`))
	p.awaitThat("the page is at "+link, fmt.Sprintf(`decodeURIComponent(location.href) === decodeURIComponent(%q)`, link))
	p.awaitThat("there is something to see", `document.body?.innerText.trim() && !document.querySelector(".loading")`)
	if alert := p.text(".notice[role=alert]"); alert != "" && s.expect == "" {
		t.Errorf("the link %s leads to: %s", link, alert)
	}
}
