//! Steps told as they happen, claims with their evidence, and the verdict at the end.
//!
//! As text the report appears line by line; with `--json` it is one object printed at the end:
//! `{"schema":1,"program":…,"steps":[…],"facts":{…},"claims":[…],"holds":true}`. A claim's `holds`
//! is true, false, or null when it was skipped; `why` is the evidence, or the reason for the skip.

use std::process::ExitCode;

use brkmap_base::error::Result;
use brkmap_base::output;
use brkmap_base::style::{FAINT, GREEN, RED, STRONG, YELLOW, paint};
use brkmap_base::wrap::fit;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Map, Value};

/// Raised when a field of the JSON changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// What the shared `--json` switch chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    Json,
}

impl Form {
    pub fn of(json: bool) -> Form {
        if json { Form::Json } else { Form::Text }
    }
}

#[derive(Debug, Serialize)]
struct Claim {
    claim: String,
    holds: Option<bool>,
    why: String,
}

#[derive(Debug, Serialize)]
pub struct Report {
    schema: u32,
    program: &'static str,
    steps: Vec<String>,
    facts: Map<String, Value>,
    claims: Vec<Claim>,
    holds: bool,
    #[serde(skip)]
    form: Form,
    /// The first line that could not be written took those behind it with it.
    #[serde(skip)]
    written: Result<()>,
}

/// A table that fits the text of a report: where it is too wide, cells are broken into lines.
pub fn table(header: impl IntoIterator<Item = &'static str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    // A note is indented by two columns.
    table.set_width(u16::try_from(output::width() - 2).unwrap_or(u16::MAX));
    table.set_header(header);
    table
}

impl Report {
    pub fn new(program: &'static str, form: Form) -> Report {
        Report {
            schema: SCHEMA,
            program,
            steps: Vec::new(),
            facts: Map::new(),
            claims: Vec::new(),
            holds: true,
            form,
            written: Ok(()),
        }
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// What happens next.
    pub fn step(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.say(format!("\n{}", paint(STRONG, &text)));
        self.steps.push(text);
    }

    /// Text only: a table, a map line, anything the JSON has in another shape.
    pub fn note(&mut self, text: impl AsRef<str>) {
        for line in text.as_ref().lines() {
            self.say(format!("  {line}"));
        }
    }

    /// JSON only: a value for whoever reads the report by program.
    pub fn fact(&mut self, key: &str, value: impl Serialize) {
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.facts.insert(key.to_owned(), value);
    }

    /// A statement, whether it holds, and what says so.
    pub fn claim(&mut self, holds: bool, claim: impl Into<String>, why: impl Into<String>) {
        let (claim, why) = (claim.into(), why.into());
        let mark = if holds { paint(GREEN, "holds") } else { paint(RED, "DOES NOT HOLD") };
        self.say(format!("  {mark}  {claim}\n         {}", paint(FAINT, &why)));
        self.holds &= holds;
        self.claims.push(Claim { claim, holds: Some(holds), why });
    }

    /// A statement that cannot be proved here, and why not.
    pub fn skip(&mut self, claim: impl Into<String>, reason: impl Into<String>) {
        let (claim, why) = (claim.into(), reason.into());
        self.say(format!("  {}  {claim}\n         skipped: {}", paint(YELLOW, "?    "), paint(FAINT, &why)));
        self.claims.push(Claim { claim, holds: None, why });
    }

    /// A claim when the witness could be asked, a skip with its reason when not.
    pub fn claim_or_skip(&mut self, claim: impl Into<String>, seen: Result<(bool, String), String>) {
        match seen {
            Ok((holds, why)) => self.claim(holds, claim, why),
            Err(reason) => self.skip(claim, reason),
        }
    }

    /// The verdict, and the exit code that says the same; `Err` when the report could not be written.
    pub fn finish(mut self) -> Result<ExitCode> {
        let skipped = self.claims.iter().filter(|claim| claim.holds.is_none()).count();
        let broken = self.claims.iter().filter(|claim| claim.holds == Some(false)).count();
        let held = self.claims.len() - skipped - broken;
        match self.form {
            Form::Text => {
                self.say(format!("\n{held} claims hold, {broken} do not, {skipped} skipped"));
            }
            Form::Json => {
                let text = serde_json::to_string_pretty(&self).expect("strings and numbers only");
                self.written = output::line(text);
            }
        }
        self.written?;
        Ok(if self.holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn say(&mut self, text: String) {
        if self.form == Form::Text && self.written.is_ok() {
            let lines: Vec<_> = text.split('\n').map(|line| fit(line, output::width())).collect();
            self.written = output::line(lines.join("\n"));
        }
    }
}
