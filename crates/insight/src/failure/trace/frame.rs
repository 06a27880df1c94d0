//! A call in a trace, with its place in the source.

use regex::Captures;

/// A place in the source that a trace names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Frame {
    /// Source file.
    pub(in super::super) file: String,
    /// Line in that file.
    pub(in super::super) line: Option<u32>,
    /// Column in that line.
    pub(in super::super) column: Option<u32>,
}

impl Frame {
    /// Returns the place that the groups `file`, `line` and `column` give.
    pub(super) fn of(groups: &Captures<'_>) -> Option<Self> {
        let number = |name| groups.name(name).and_then(|text| text.as_str().parse().ok());
        let file = groups.name("file")?.as_str().to_owned();
        Some(Self { file, line: number("line"), column: number("column") })
    }
}

/// The frame that is shown as the place of an error. This is the nearest frame in the code of the program itself, or,
/// if there is none, the nearest frame in a library.
#[derive(Clone, Debug, Default)]
pub(super) struct NearestFrame {
    own: Option<Frame>,
    library: Option<Frame>,
    /// Frame in the code of the program itself that belongs to the error that was caused.
    effect: Option<Frame>,
}

impl NearestFrame {
    /// Adds a frame that is farther from the error than the frames before.
    pub(super) fn add_farther(&mut self, frame: Frame, is_library: bool) {
        let place = if is_library { &mut self.library } else { &mut self.own };
        place.get_or_insert(frame);
    }

    /// Adds a frame that is nearer to the error than the frames before.
    pub(super) fn add_nearer(&mut self, frame: Frame, is_library: bool) {
        *(if is_library { &mut self.library } else { &mut self.own }) = Some(frame);
    }

    /// Starts the frames of a cause. A frame of the program itself in the cause takes precedence over the frame in the
    /// error that was caused.
    pub(super) fn start_cause(&mut self) {
        self.effect = self.own.take().or(self.effect.take());
    }

    /// Returns the nearest frame in the code of the program itself.
    pub(super) fn own(&self) -> Option<&Frame> {
        self.own.as_ref().or(self.effect.as_ref())
    }

    /// Returns the frame to show.
    pub(super) fn shown(&self) -> Option<&Frame> {
        self.own().or(self.library.as_ref())
    }
}
