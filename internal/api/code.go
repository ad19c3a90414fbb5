package api

import (
	"errors"
	"net/http"

	"magpie/internal/fault"
)

// Code is an error of the server API in the Centrifuge protocol's numbers.
type Code uint32

// The codes that the server API answers with.
const (
	CodeInternal      Code = 100 // temporary: ask again
	CodeForbidden     Code = 103
	CodeNoMethod      Code = 104
	CodeLimit         Code = 106
	CodeBadRequest    Code = 107
	CodeNotAvailable  Code = 108
	CodeTooMany       Code = 111 // temporary: ask again, later
	CodeUnrecoverable Code = 112
)

// words are the protocol's own texts; what is wrong in particular follows.
var words = map[Code]string{
	CodeInternal: "internal server error", CodeForbidden: "permission denied", CodeNoMethod: "method not found",
	CodeLimit: "limit exceeded", CodeBadRequest: "bad request", CodeNotAvailable: "not available",
	CodeTooMany: "too many requests", CodeUnrecoverable: "unrecoverable position",
}

// statuses are for callers that ask for HTTP's own words; see errorMode.
var statuses = map[Code]int{
	CodeInternal: http.StatusServiceUnavailable, CodeForbidden: http.StatusForbidden, CodeNoMethod: http.StatusNotFound,
	CodeLimit: http.StatusBadRequest, CodeBadRequest: http.StatusBadRequest, CodeNotAvailable: http.StatusNotFound,
	CodeTooMany: http.StatusTooManyRequests, CodeUnrecoverable: http.StatusRequestedRangeNotSatisfiable,
}

// Error is what a call of the server API fails with: an answer, not a
// refusal of the request.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// wrong returns an error of this code with what is wrong in particular.
func wrong(c Code, what string) *Error {
	return &Error{Code: c, Message: words[c] + ": " + what}
}

func bad(what string) *Error { return wrong(CodeBadRequest, what) }

// codes are what faults become. What is in no row is a defect of ours: code
// 100, and the log says what.
var codes = map[fault.Kind]Code{
	fault.BadChannel:   CodeBadRequest,
	fault.BadPosition:  CodeBadRequest,
	fault.BadParameter: CodeBadRequest,
	fault.TooBig:       CodeBadRequest,
	fault.Conflict:     CodeBadRequest,
	fault.Limit:        CodeLimit,
	fault.TooMany:      CodeTooMany,
	fault.NoPresence:   CodeNotAvailable,
	fault.Forbidden:    CodeForbidden,
	fault.TokenNeeded:  CodeForbidden,
	fault.BadToken:     CodeForbidden,
	fault.TokenExpired: CodeForbidden,
	fault.Revoked:      CodeForbidden,
	fault.Unavailable:  CodeInternal,
	fault.Shutdown:     CodeInternal,
}

// errorOf finds the answer for an error; known is false for defects of ours.
func errorOf(err error) (e *Error, known bool) {
	if errors.As(err, &e) {
		return e, true
	}
	f := fault.Of(err)
	if code, known := codes[f.Kind]; known {
		return wrong(code, f.Sentence()), true
	}
	return wrong(CodeInternal, fault.New(fault.Internal, "").Sentence()), false
}
