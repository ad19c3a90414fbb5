package door_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"magpie/internal/door"
	"magpie/internal/fault"
)

func TestAParameterThatNobodyKnowsIsRefused(t *testing.T) {
	long := strings.Repeat("x", 100)
	for query, want := range map[string]string{
		"":                    "",
		"channel=a":           "",
		"_=1&_t=2":            "",
		"chanel=a":            `unknown parameter "chanel"; did you mean channel?`,
		"q=1":                 `unknown parameter "q"; those there are: channel, since`,
		long + "=1":           `unknown parameter "` + long[:64] + `"; those there are: channel, since`,
		"channel=a&Channel=b": `unknown parameter "Channel"; did you mean channel?`,
	} {
		_, err := door.Query(httptest.NewRequest("GET", "/?"+query, nil), "channel", "since")
		if err == nil && want != "" || err != nil && (err.Error() != want || fault.KindOf(err) != fault.BadParameter) {
			t.Errorf("%q: %v, want %q", query, err, want)
		}
	}
}
