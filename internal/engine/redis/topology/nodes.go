package topology

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

var errNodes = errors.New("Redis gave an answer of an unexpected form: CLUSTER NODES")

// claim is what one master says of itself, or others of it.
type claim struct {
	addr  string
	epoch uint64   // of its configuration: of two claims to a slot the higher holds
	slots [][2]int // from and to, both included
	going []int    // those of its slots whose keys are being moved to another
}

// parseNodes reads the answer of CLUSTER NODES: the masters that have slots and
// are not known to be dead. from is who was asked, for a node that does not know
// its own address; byName takes host names, where they are announced.
func parseNodes(text, from string, byName bool) ([]claim, error) {
	var claims []claim
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			return nil, fmt.Errorf("%w", errNodes)
		}
		flags := "," + fields[2] + ","
		if !strings.Contains(flags, ",master,") || strings.Contains(flags, ",fail,") || strings.Contains(flags, ",noaddr,") || len(fields) == 8 {
			continue
		}
		addr, err := nodeAddr(fields[1], from, byName)
		if err != nil {
			return nil, err
		}
		epoch, err := strconv.ParseUint(fields[6], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: epoch %q", errNodes, fields[6])
		}
		c := claim{addr: addr, epoch: epoch}
		for _, f := range fields[8:] {
			if rest, moving := strings.CutPrefix(f, "["); moving { // still its owner's
				slot, _, out := strings.Cut(rest, "->-")
				if n, err := strconv.Atoi(slot); out && err == nil {
					c.going = append(c.going, n)
				}
				continue
			}
			part, err := parseSlots(f)
			if err != nil {
				return nil, err
			}
			c.slots = append(c.slots, part)
		}
		claims = append(claims, c)
	}
	return claims, nil
}

// nodeAddr reads IP:PORT@BUS[,HOSTNAME[,…]].
func nodeAddr(field, from string, byName bool) (string, error) {
	parts := strings.Split(field, ",")
	at, _, _ := strings.Cut(parts[0], "@")
	colon := strings.LastIndexByte(at, ':')
	if colon < 0 {
		return "", fmt.Errorf("%w: address %q", errNodes, field)
	}
	host, port := strings.Trim(at[:colon], "[]"), at[colon+1:]
	if byName && len(parts) > 1 && parts[1] != "" {
		host = parts[1]
	}
	if host == "" {
		host, _, _ = net.SplitHostPort(from)
	}
	return net.JoinHostPort(host, port), nil
}

func parseSlots(field string) (part [2]int, err error) {
	from, to, ok := strings.Cut(field, "-")
	if !ok {
		to = from
	}
	a, err1 := strconv.Atoi(from)
	b, err2 := strconv.Atoi(to)
	if err1 != nil || err2 != nil || a < 0 || b < a || b >= Slots {
		return part, fmt.Errorf("%w: slots %q", errNodes, field)
	}
	return [2]int{a, b}, nil
}

// ownership is who has which slot, by address.
type ownership struct {
	addr  [Slots]string
	epoch [Slots]uint64
	going map[int]bool // slots whose keys are being moved
}

// forget leaves out a master that cannot be reached.
func (o *ownership) forget(addr string) {
	for s := range o.addr {
		if o.addr[s] == addr {
			o.addr[s] = ""
		}
	}
}

// merge takes a claim to a slot from whoever makes it with the highest epoch. A
// node that was cut off tells of an older state, with older epochs.
func (o *ownership) merge(claims []claim) {
	for _, c := range claims {
		for _, s := range c.going {
			if o.going == nil {
				o.going = map[int]bool{}
			}
			o.going[s] = true
		}
		for _, part := range c.slots {
			for s := part[0]; s <= part[1]; s++ {
				if o.addr[s] == "" || c.epoch > o.epoch[s] {
					o.addr[s], o.epoch[s] = c.addr, c.epoch
				}
			}
		}
	}
}
