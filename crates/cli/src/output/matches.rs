//! Shows the lines of output that match a pattern, in the format of `grep`.

use super::OutputPiece;
use super::printer::json_aside;
use crate::failure::CliError;
use crate::json::on_one_line;
use longhaul_view::{Pattern, RenderMode, SearchHit, Searcher, WindowEnd};
use serde::Serialize;

/// Search pattern and format of the matches.
#[derive(Clone, Debug)]
pub(crate) struct Grep {
    pub(crate) pattern: Pattern,
    /// Number of lines of context before and after each match.
    pub(crate) context: usize,
    /// Maximum number of matches.
    pub(crate) limit: usize,
    /// True if the original bytes are searched and shown, without processing of control characters.
    pub(crate) raw: bool,
    /// Line number of the first line of the output; `None` if it is unknown.
    pub(crate) first: Option<u64>,
    /// Prefix of each line.
    pub(crate) prefix: Option<String>,
    /// Process id for JSON output. If set, each match is shown as a JSON document.
    pub(crate) json: Option<String>,
}

/// Searches the output of one process and formats the matches.
pub(crate) struct Matches {
    grep: Grep,
    searcher: Searcher,
    /// Number of bytes searched so far. The search uses this number as the offset of the next byte, because the search
    /// does not need the true offset in the log.
    next: u64,
    /// Line number of the last line that was shown.
    shown: Option<u64>,
}

/// JSON output of one match.
#[derive(Serialize)]
struct JsonMatch<'a> {
    id: &'a str,
    line: Option<u64>,
    text: &'a str,
    before: &'a [String],
    after: &'a [String],
}

impl Matches {
    pub(crate) fn new(grep: Grep) -> Self {
        let manner = if grep.raw { RenderMode::Raw } else { RenderMode::Folded };
        // If the line number is unknown, counting starts at 1. Numbers are needed in any case to detect adjacent
        // matches.
        let first = grep.first.unwrap_or(1);
        let searcher = Searcher::new(grep.pattern.clone(), 0, Some(first), manner);
        let searcher = searcher.context(grep.context).limit(grep.limit);
        Self { grep, searcher, next: 0, shown: None }
    }

    /// Searches a chunk of output and returns the bytes to print.
    pub(crate) fn show(&mut self, piece: &OutputPiece) -> Result<Vec<u8>, CliError> {
        match piece {
            OutputPiece::Stdout { bytes, .. } | OutputPiece::Stderr { bytes, .. } => {
                self.searcher.push(self.next, bytes);
                self.next = self.next.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            }
            OutputPiece::Note { .. } => {}
            OutputPiece::Gap { .. } => self.searcher.break_off(self.next),
        }
        let mut shown = self.format_matches()?;
        if let Some(id) = &self.grep.json {
            shown.extend(json_aside(id, piece)?);
        }
        Ok(shown)
    }

    /// Returns the last bytes to print at the end of the output.
    pub(crate) fn finish(&mut self) -> Result<Vec<u8>, CliError> {
        self.searcher.finish(self.next, WindowEnd::Over);
        self.format_matches()
    }

    /// Returns true if at least one line has matched.
    pub(crate) const fn found(&self) -> bool {
        self.searcher.total() > 0
    }

    /// Returns true if the maximum number of matches is reached.
    pub(crate) fn is_full(&self) -> bool {
        usize::try_from(self.searcher.total()).unwrap_or(usize::MAX) >= self.grep.limit
    }

    fn format_matches(&mut self) -> Result<Vec<u8>, CliError> {
        let mut shown = Vec::new();
        for hit in self.searcher.take() {
            match &self.grep.json {
                Some(id) => self.grep.add_json(id, &hit, &mut shown)?,
                None => self.add(&hit, &mut shown),
            }
        }
        Ok(shown)
    }

    fn add(&mut self, hit: &SearchHit, shown: &mut Vec<u8>) {
        let count = |lines: &[String]| u64::try_from(lines.len()).unwrap_or(0);
        let first = hit.line.map(|line| line.saturating_sub(count(&hit.before)));
        let goes_on = first.is_some() && first == self.shown.map(|shown| shown.saturating_add(1));
        if self.grep.context > 0 && !goes_on && self.shown.is_some() {
            shown.extend_from_slice(b"--\n");
        }
        let numbers = |begin: Option<u64>| {
            let begin = begin.filter(|_| self.grep.first.is_some());
            (0_u64..).map(move |place| begin.map(|begin| begin.saturating_add(place)))
        };
        for (line, number) in hit.before.iter().zip(numbers(first)) {
            self.grep.add_line(number, '-', line, shown);
        }
        let own = hit.line.filter(|_| self.grep.first.is_some());
        self.grep.add_line(own, ':', &hit.text, shown);
        for (line, number) in hit.after.iter().zip(numbers(hit.line.map(|line| line.saturating_add(1)))) {
            self.grep.add_line(number, '-', line, shown);
        }
        self.shown = Some(hit.line.map_or(u64::MAX, |line| line.saturating_add(count(&hit.after))));
    }
}

impl Grep {
    fn add_line(&self, number: Option<u64>, sign: char, line: &str, shown: &mut Vec<u8>) {
        if let Some(prefix) = &self.prefix {
            shown.extend_from_slice(format!("{prefix} | ").as_bytes());
        }
        if let Some(number) = number {
            shown.extend_from_slice(format!("{number}{sign}").as_bytes());
        }
        shown.extend_from_slice(line.as_bytes());
        shown.push(b'\n');
    }

    fn add_json(&self, id: &str, hit: &SearchHit, shown: &mut Vec<u8>) -> Result<(), CliError> {
        let line = hit.line.filter(|_| self.first.is_some());
        let reported = JsonMatch { id, line, text: &hit.text, before: &hit.before, after: &hit.after };
        shown.extend_from_slice(on_one_line(&reported)?.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_view::CaseMode;

    #[test]
    fn matches_are_shown_with_their_numbers() {
        let mut matches = Matches::new(grep(0));
        assert_eq!(shown(&mut matches, "one\ntwo o\nthree\no"), "1:one\n2:two o\n");
        assert_eq!(String::from_utf8(matches.finish().unwrap()).unwrap(), "4:o\n");
        assert!(matches.found());
    }

    #[test]
    fn groups_of_lines_are_parted() {
        let mut matches = Matches::new(grep(1));
        let output = "a\no\nb\nc\nd\no\no\ne\nf\n";
        assert_eq!(shown(&mut matches, output), "1-a\n2:o\n3-b\n--\n5-d\n6:o\n7:o\n8-e\n");
    }

    #[test]
    fn lines_without_a_known_begin_have_no_number() {
        let mut matches = Matches::new(Grep { first: None, ..grep(0) });
        assert_eq!(shown(&mut matches, "one\n"), "one\n");
        let mut behind_gap = Matches::new(grep(0));
        assert_eq!(shown(&mut behind_gap, "one\n"), "1:one\n");
        assert_eq!(behind_gap.show(&OutputPiece::Gap { dropped: None }).unwrap(), b"");
        assert_eq!(shown(&mut behind_gap, "two\no\n"), "…two\no\n");
    }

    #[test]
    fn json_match_contains_its_context_lines() {
        let mut matches = Matches::new(Grep { json: Some("id".to_owned()), ..grep(1) });
        assert_eq!(
            shown(&mut matches, "a\no\nb\n"),
            "{\"id\":\"id\",\"line\":2,\"text\":\"o\",\"before\":[\"a\"],\"after\":[\"b\"]}\n"
        );
    }

    fn grep(context: usize) -> Grep {
        Grep {
            pattern: Pattern::new("o", CaseMode::Kept).unwrap(),
            context,
            limit: usize::MAX,
            raw: false,
            first: Some(1),
            prefix: None,
            json: None,
        }
    }

    fn shown(matches: &mut Matches, text: &str) -> String {
        let piece = OutputPiece::Stdout { at: 0, bytes: text.as_bytes().to_vec() };
        String::from_utf8(matches.show(&piece).unwrap()).unwrap()
    }
}
