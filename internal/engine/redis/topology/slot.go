package topology

import (
	"strconv"
	"strings"
	"sync"
)

// Slots is how many slots a Redis Cluster has.
const Slots = 16384

// SlotOf is the slot of a key, a channel or a Pub/Sub name: the CRC-16 (XMODEM)
// of what stands in the first braces, or of all.
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
func SlotOf(name string) int {
	if _, rest, ok := strings.Cut(name, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			name = tag
		}
	}
	crc := uint16(0)
	for i := range len(name) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^name[i]]
	}
	return int(crc) % Slots
}

var crcTable = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()

// Tag returns a short word that lies in the slot, the same on every node.
func Tag(slot int) string { return slotTags()[slot] }

// slotTags counts until each slot has a word: some 200,000 tries, once.
var slotTags = sync.OnceValue(func() *[Slots]string {
	tags := new([Slots]string)
	for i, left := 0, Slots; left > 0; i++ {
		tag := strconv.FormatInt(int64(i), 36)
		if slot := SlotOf(tag); tags[slot] == "" {
			tags[slot] = tag
			left--
		}
	}
	return tags
})
