//! Counting panics: one in a task of its own ends nothing but that task, and must not pass unseen.

use std::cell::Cell;
use std::sync::Once;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

static HOOK: Once = Once::new();

/// Panics of this thread since the first call.
pub(crate) fn count() -> u64 {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            COUNT.with(|count| count.set(count.get() + 1));
            before(panic);
        }));
    });
    COUNT.with(Cell::get)
}
