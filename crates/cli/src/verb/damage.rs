//! Message for the user about damaged records.

use crate::console::Console;

/// Prints the ids of damaged records, because the output lacks these records. Prints nothing if no record is damaged.
pub(super) fn print_damage(console: &Console, ids: &[&str]) {
    let Some(first) = ids.first() else { return };
    let (count, ids) = (ids.len(), ids.join(" "));
    console.say(&format!(
        "damaged records, not included here: {count} ({ids}); `longhaul inspect {first}` shows what is wrong"
    ));
}
