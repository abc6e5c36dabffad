//! Making a failing script smaller while it still fails.
