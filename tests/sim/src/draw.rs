//! Drawing scripts from seeds.
