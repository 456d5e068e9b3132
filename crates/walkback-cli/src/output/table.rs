//! Aligned tables without lines, with a note to each row that goes beside it where there is room
//! and beneath it where there is none.

use comfy_table::{
    CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, Table as Grid, Width, presets,
};

use crate::output::Out;

/// A column that is not the note is never wider.
const WIDEST: u16 = 40;
/// Between two columns.
const GAP: usize = 2;
/// Before a note that goes beneath its row.
const INDENT: usize = 4;

/// What stands in a column of a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    right: bool,
    colour: Option<Color>,
}

/// A text.
pub(crate) fn text(text: impl AsRef<str>) -> Cell {
    Cell { text: clean(text.as_ref()), ..Cell::default() }
}

/// A number, or something like one; nothing where there is none.
pub(crate) fn number(number: Option<impl ToString>) -> Cell {
    let text = number.map(|number| number.to_string()).unwrap_or_default();
    Cell { text, right: true, colour: None }
}

/// A status in its colour, after `mark`.
pub(crate) fn status(name: &str, mark: &str) -> Cell {
    let colour = match name {
        "completed" => Some(Color::DarkGreen),
        "rolled_back" | "compensated" | "compensating" => Some(Color::DarkYellow),
        "failed" | "compensation_failed" => Some(Color::DarkRed),
        "parked" => Some(Color::DarkMagenta),
        "running" => Some(Color::DarkCyan),
        _ => None,
    };
    Cell { text: format!("{mark}{name}"), right: false, colour }
}

/// Without what would move a terminal's cursor.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Where notes go that do not fit beside their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Beneath, in full.
    Beneath,
    /// Beside, cut.
    Cut,
}

/// Rows under a header, each with a note.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<(Vec<Cell>, String)>,
}

impl Table {
    /// Columns by name, the note's the last.
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row: a cell for every column but the last, and the note.
    pub(crate) fn row(&mut self, cells: Vec<Cell>, note: impl AsRef<str>) {
        self.rows.push((cells, clean(note.as_ref())));
    }

    /// The table's lines. Columns without any content are left out.
    pub(crate) fn lines(&self, out: &Out, fit: Fit) -> Vec<String> {
        let last = self.header.len() - 1;
        let used: Vec<usize> = (0..last)
            .filter(|&i| self.rows.iter().any(|(row, _)| !row[i].text.is_empty()))
            .collect();
        let own: usize = used.iter().map(|&i| self.width(i) + GAP).sum();
        let widest = self.rows.iter().map(|(_, note)| note.chars().count()).max().unwrap_or(0);
        let room = out.width.map(|width| width.saturating_sub(own));
        let beside = fit == Fit::Cut || room.is_none_or(|room| widest <= room);
        let grid = self.grid(out, &used, beside && widest > 0);
        let mut lines: Vec<String> = grid.lines().map(|line| line.trim_end().to_owned()).collect();
        if !beside {
            lines = self.with_notes(lines, out);
        }
        if let (Some(header), true) = (lines.first_mut(), out.colour) {
            *header = out.dim(header);
        }
        lines
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|(row, _)| row[column].text.chars().count());
        cells.max().unwrap_or(0).max(self.header[column].len()).min(usize::from(WIDEST))
    }

    fn grid(&self, out: &Out, used: &[usize], notes: bool) -> Grid {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        if out.colour {
            grid.enforce_styling()
        } else {
            grid.force_no_tty()
        };
        if let Some(width) = out.width {
            grid.set_content_arrangement(ContentArrangement::Dynamic);
            grid.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        } else {
            grid.set_content_arrangement(ContentArrangement::Disabled);
        }
        let last = self.header.len() - 1;
        let columns = || used.iter().copied().chain(notes.then_some(last));
        grid.set_header(columns().map(|i| self.header[i]).collect::<Vec<_>>());
        for (cells, note) in &self.rows {
            let mut row = Row::from(used.iter().map(|&i| cell(&cells[i])).collect::<Vec<_>>());
            if notes {
                row.add_cell(comfy_table::Cell::new(note));
            }
            if out.width.is_some() {
                row.max_height(1);
            }
            grid.add_row(row);
        }
        for (column, i) in grid.column_iter_mut().zip(columns()) {
            column.set_padding((0, u16::try_from(GAP).unwrap_or(0)));
            if i != last && out.width.is_some() {
                let width = u16::try_from(self.width(i)).unwrap_or(WIDEST);
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(
                    width + u16::try_from(GAP).unwrap_or(0),
                )));
            }
        }
        grid
    }

    fn with_notes(&self, lines: Vec<String>, out: &Out) -> Vec<String> {
        let mut all = Vec::new();
        let width = out.width.unwrap_or(80).saturating_sub(INDENT).max(20);
        for (at, line) in lines.into_iter().enumerate() {
            all.push(line);
            let note = at.checked_sub(1).and_then(|row| self.rows.get(row)).map(|(_, note)| note);
            for part in note.into_iter().flat_map(|note| wrap(note, width)) {
                all.push(out.dim(&format!("{:INDENT$}{part}", "")));
            }
        }
        all
    }
}

fn cell(cell: &Cell) -> comfy_table::Cell {
    let mut drawn = comfy_table::Cell::new(&cell.text);
    if cell.right {
        drawn = drawn.set_alignment(CellAlignment::Right);
    }
    if let Some(colour) = cell.colour {
        drawn = drawn.fg(colour);
    }
    drawn
}

/// `text` in lines of at most `width` characters, broken at spaces where there are any.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if used + word.iter().filter(|c| **c != ' ').count() > width && used > 0 {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
        }
        while word.len() > width && word[width..] != [' '] {
            lines.push(word.drain(..width).collect());
        }
        used += word.len();
        line.extend(word);
    }
    if !line.trim_end().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(width: Option<usize>) -> Out {
        Out { json: false, live: false, colour: false, width, height: 24 }
    }

    fn table() -> Table {
        let mut table = Table::new(&["#", "STEP", "SCOPE", "NOTE"]);
        table.row(vec![number(Some(0)), text("make_dir"), text("")], "the note of the first");
        table.row(vec![number(Some(10)), text("echo"), text("")], "");
        table
    }

    #[test]
    fn a_note_goes_beside_its_row_where_there_is_room() {
        let lines = table().lines(&out(Some(80)), Fit::Beneath);
        assert_eq!(
            lines,
            ["#   STEP      NOTE", " 0  make_dir  the note of the first", "10  echo"]
        );
    }

    #[test]
    fn a_note_goes_beneath_its_row_where_there_is_none() {
        let lines = table().lines(&out(Some(25)), Fit::Beneath);
        assert_eq!(lines, ["#   STEP", " 0  make_dir", "    the note of the first", "10  echo"]);
    }

    #[test]
    fn a_note_is_cut_where_rows_must_stay_lines() {
        let lines = table().lines(&out(Some(25)), Fit::Cut);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.chars().count() <= 25), "{lines:?}");
    }

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(clean("a\u{1b}[2J\nb"), "a [2J b");
    }

    #[test]
    fn long_words_are_broken() {
        assert_eq!(wrap("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
    }
}
