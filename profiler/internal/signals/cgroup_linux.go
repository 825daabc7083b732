package signals

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// groups are the directories of the process's control groups.
type groups struct {
	cpu      []string // that may have a CPU quota: the innermost first
	pressure []string // files, in the order to try
}

// findGroups reads from /proc/self where the process's control groups are. Both
// versions may be mounted at a time; the cpu controller is in one of them.
func findGroups(root string) (groups, error) {
	member, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return groups{}, err
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return groups{}, err
	}
	var g groups

	// The pressure of the host is that of the process's group only when that is the
	// root; version 1 has none of its own.
	var host []string
	inside := false
	for line := range strings.Lines(string(member)) {
		// hierarchy number : controllers : path
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		v2 := f[0] == "0" && f[1] == ""
		if !v2 && !hasItem(f[1], "cpu") {
			continue
		}
		dirs := nested(root, string(mounts), f[2], v2)
		g.cpu = append(g.cpu, dirs...)
		switch {
		case len(dirs) == 0:
		case isRoot(dirs[0], v2):
			host = append(host, filepath.Join(dirs[0], "cpu.pressure"))
		default:
			inside = true
			if v2 {
				g.pressure = append(g.pressure, filepath.Join(dirs[0], "cpu.pressure"))
			}
		}
	}
	if !inside {
		g.pressure = append(host, filepath.Join(root, "proc/pressure/cpu"))
	}
	if len(g.cpu) == 0 {
		return g, fmt.Errorf("no control group of this process with a cpu controller is mounted")
	}
	return g, nil
}

// nested returns the directory of a group and of those around it.
func nested(root, mounts, of string, v2 bool) (dirs []string) {
	for line := range strings.Lines(mounts) {
		// id parent device root mountpoint options… - type source superoptions
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, t := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(t) < 3 {
			continue
		}
		if v2 && t[0] != "cgroup2" || !v2 && (t[0] != "cgroup" || !hasItem(t[2], "cpu")) {
			continue
		}
		// In a container the mount may begin below the root, and the path lead
		// out of what is mounted: then the mount is as near as can be had.
		inside, below := strings.CutPrefix(of, strings.TrimSuffix(unescape(f[3]), "/"))
		if !below || inside != "" && inside[0] != '/' || strings.HasPrefix(of, "/..") {
			inside = "/"
		}
		mount := filepath.Join(root, unescape(f[4]))
		for at := path.Clean("/" + inside); ; at = path.Dir(at) {
			dirs = append(dirs, filepath.Join(mount, at))
			if at == "/" {
				return dirs
			}
		}
	}
	return nil
}

// isRoot reports whether dir is the root of all groups. Its path does not tell: in a
// namespace each container's group is "/".
func isRoot(dir string, v2 bool) bool {
	if v2 {
		_, err := os.Stat(filepath.Join(dir, "cgroup.events")) // all but the root have it
		return os.IsNotExist(err)
	}
	_, err := os.Stat(filepath.Join(dir, "release_agent")) // only the root has it
	return err == nil
}

func hasItem(list, item string) bool {
	for s := range strings.SplitSeq(list, ",") {
		if s == item {
			return true
		}
	}
	return false
}

// unescape undoes what mountinfo does to spaces and the like.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
