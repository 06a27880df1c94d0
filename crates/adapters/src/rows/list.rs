//! Lists of records.

use super::FoundRow;
use super::index;
use super::key::{KeyRange, RowKey};
use super::transaction::{StoreTransaction, count};
use longhaul_domain::{ProcessId, Seq};
use longhaul_ports::{Listing, PageKey, PageRequest, ProcessFilter, SortOrder, StoreError, StoredProcess};

/// An unordered set of rows is sorted if it is smaller than the set to be scanned by at least this factor.
const SORT_RATIO: u32 = 16;
/// Number of entries at which the sizes of sets are no longer compared.
const COUNT_LIMIT: u32 = 4_096;
/// Maximum number of records on a page.
const MAX_PAGE: u32 = 1_000;
/// Minimum number of index entries that are read at once.
const MIN_BATCH: u32 = 32;

/// A page that is being filled.
struct PageBuilder<'f> {
    filter: &'f ProcessFilter,
    limit: usize,
    processes: Vec<StoredProcess>,
    damaged: Vec<ProcessId>,
}

impl PageBuilder<'_> {
    fn is_full(&self) -> bool {
        self.processes.len() > self.limit
    }

    fn add(&mut self, ids: &[ProcessId], rows: Vec<FoundRow>) -> Result<(), StoreError> {
        for (id, found) in ids.iter().zip(rows) {
            match found {
                _ if self.is_full() => break,
                Ok(Some(row)) if self.filter.admits(&row.stored) => self.processes.push(row.stored.clone()),
                Ok(_) => {}
                Err(error) if error.is_damage() => {
                    tracing::error!(%id, %error, "skipped a damaged record of the store");
                    self.damaged.push(*id);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn into_listing(mut self) -> Listing {
        let more = self.is_full();
        self.processes.truncate(self.limit);
        let next = self.processes.last().filter(|_| more).map(|stored| PageKey(stored.seq));
        Listing { next, processes: self.processes, damaged: self.damaged }
    }
}

impl StoreTransaction<'_> {
    pub(crate) async fn list(
        &mut self,
        filter: &ProcessFilter,
        page: &PageRequest,
    ) -> Result<Listing, StoreError> {
        let limit = page.limit.clamp(1, MAX_PAGE);
        let length = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut builder = PageBuilder { filter, limit: length, processes: Vec::new(), damaged: Vec::new() };
        let unordered = index::unordered(filter);
        let ordered = index::of_filter(filter);
        let (narrowest, sorted) = self.narrowest(ordered, unordered).await?;
        if let Some(sorted) = sorted {
            self.list_sorted(sorted, page, &mut builder).await?;
        } else {
            self.list_range(narrowest, page, limit, &mut builder).await?;
        }
        Ok(builder.into_listing())
    }

    /// Returns the range of the fewest rows in the order of their submission, or the sorted rows of the unordered
    /// ranges if they are much fewer.
    async fn narrowest(
        &mut self,
        ordered: Vec<KeyRange>,
        unordered: Vec<KeyRange>,
    ) -> Result<(KeyRange, Option<Vec<(Seq, ProcessId)>>), StoreError> {
        let mut ranges = if ordered.is_empty() { vec![index::all()] } else { ordered };
        let alone = ranges.len() == 1;
        if alone && unordered.is_empty() {
            return Ok((ranges.pop().unwrap_or_else(index::all), None));
        }
        let candidates: Vec<KeyRange> = ranges.iter().chain(&unordered).cloned().collect();
        let mut sizes = self.count(&candidates, COUNT_LIMIT).await?;
        let sorted_size: u32 = sizes.split_off(ranges.len()).into_iter().fold(0, u32::saturating_add);
        let smallest = ranges.into_iter().zip(sizes).min_by_key(|(_, size)| *size);
        let (range, size) = smallest.unwrap_or_else(|| (index::all(), COUNT_LIMIT));
        if unordered.is_empty() || sorted_size > size / SORT_RATIO {
            return Ok((range, None));
        }
        let found = self.scan(&unordered, SortOrder::OldestFirst, u32::MAX).await?;
        let mut sorted: Vec<(Seq, ProcessId)> =
            found.into_iter().flatten().filter_map(|(key, id)| Some((key.last_seq()?, id))).collect();
        sorted.sort_unstable();
        Ok((range, Some(sorted)))
    }

    async fn list_sorted(
        &mut self,
        mut sorted: Vec<(Seq, ProcessId)>,
        page: &PageRequest,
        builder: &mut PageBuilder<'_>,
    ) -> Result<(), StoreError> {
        match (page.order, page.after) {
            (SortOrder::NewestFirst, Some(PageKey(after))) => sorted.retain(|(seq, _)| *seq < after),
            (SortOrder::OldestFirst, Some(PageKey(after))) => sorted.retain(|(seq, _)| *seq > after),
            (_, None) => {}
        }
        match page.order {
            SortOrder::NewestFirst => sorted.reverse(),
            SortOrder::OldestFirst => {}
        }
        let ids: Vec<ProcessId> = sorted.into_iter().map(|(_, id)| id).collect();
        let rows = self.rows(&ids).await?;
        builder.add(&ids, rows)
    }

    async fn list_range(
        &mut self,
        range: KeyRange,
        page: &PageRequest,
        limit: u32,
        builder: &mut PageBuilder<'_>,
    ) -> Result<(), StoreError> {
        let mut range = remaining(range, page.order, page.after);
        let mut batch = limit.saturating_add(1).max(MIN_BATCH);
        loop {
            let found = self.scan(std::slice::from_ref(&range), page.order, batch).await?;
            let found: Vec<(RowKey, ProcessId)> = found.into_iter().flatten().collect();
            let last = found.last().and_then(|(key, _)| key.last_seq());
            let is_end = count(found.len()) < batch;
            let ids: Vec<ProcessId> = found.into_iter().map(|(_, id)| id).collect();
            let rows = self.rows(&ids).await?;
            builder.add(&ids, rows)?;
            if is_end || builder.is_full() {
                return Ok(());
            }
            range = remaining(range, page.order, last.map(PageKey));
            batch = batch.saturating_mul(2).min(MAX_PAGE);
        }
    }
}

/// Returns the part of a range of rows in the order of their submission that follows a position.
fn remaining(range: KeyRange, order: SortOrder, after: Option<PageKey>) -> KeyRange {
    let Some(PageKey(after)) = after else { return range };
    let begin = range.from.as_str();
    // The first part of a range may already be cut off: the name of the index remains.
    let at = |seq: Seq| {
        let index = begin.rfind('/').map_or(begin, |end| begin.get(..end).unwrap_or(begin));
        RowKey::stored(index.to_owned()).seq(seq)
    };
    match order {
        SortOrder::NewestFirst => KeyRange { to: at(after), ..range },
        SortOrder::OldestFirst => KeyRange { from: at(after.next()), ..range },
    }
}
