//! Creates the parser for each source.

use super::case::{Framework, TestSource};
use super::event::TestParser;
use super::{ConsoleParser, GoJsonParser, JsonReportParser, JunitParser, PluginParser, TapParser};

/// Creates the parser for a source. `framework` is the framework that was detected in the command.
#[must_use]
pub fn parser_of(source: TestSource, framework: Option<Framework>) -> Box<dyn TestParser> {
    match (source, framework) {
        (TestSource::Plugin, _) => Box::new(PluginParser::default()),
        (TestSource::Junit, _) => Box::new(JunitParser::new(framework)),
        (TestSource::Stream, Some(Framework::GoTest)) => Box::new(GoJsonParser::default()),
        (TestSource::Stream, Some(Framework::Tap)) => Box::new(TapParser::default()),
        (TestSource::Stream, _) => Box::new(JsonReportParser::new(framework)),
        (TestSource::Console, _) => Box::new(ConsoleParser::new(framework)),
    }
}
