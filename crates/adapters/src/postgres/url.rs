//! The URL of a PostgreSQL store.

use longhaul_ports::StoreError;

/// Removes the query parameters that `take` accepts from a URL, and returns the other parts of the URL.
///
/// # Errors
/// Returns the error of `take`.
pub(super) fn without_parameters<'u>(
    url: &'u str,
    mut take: impl FnMut(&'u str, &'u str) -> Result<bool, StoreError>,
) -> Result<String, StoreError> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let mut others = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if !take(name, value)? {
            others.push(part);
        }
    }
    Ok(if others.is_empty() { place.to_owned() } else { format!("{place}?{}", others.join("&")) })
}
