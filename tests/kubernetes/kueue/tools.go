//go:build tools

// Package kueue names what is built from this module.
package kueue

import _ "sigs.k8s.io/kueue/cmd/kueue"
