//! Scripts of faults that were found, small enough to read.
