//! A table as aligned plain text or as Markdown.

/// Style of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Aligned columns.
    Plain,
    /// Pipes.
    Markdown,
}

/// Rows of cells below a heading. The first column is text; the others are aligned right unless marked as text.
pub struct Table {
    heading: String,
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A column's title and side.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// Aligned left.
    Text(&'static str),
    /// Aligned right.
    Number(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Text(title) | Self::Number(title) => title,
        }
    }
}

impl Table {
    /// An empty table.
    pub fn new(heading: impl Into<String>, columns: &[Column]) -> Self {
        Self { heading: heading.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; what it lacks at its end stays empty.
    pub fn row(&mut self, mut cells: Vec<String>) {
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// The whole table, ending in a line break.
    pub fn render(&self, style: Style) -> String {
        let widths: Vec<usize> = self.columns.iter().enumerate().map(|(at, column)| self.width(at, *column)).collect();
        let titles: Vec<String> = self.columns.iter().map(|column| column.title().to_owned()).collect();
        let rule: Vec<String> =
            self.columns.iter().zip(&widths).map(|(column, width)| rule(*column, *width, style)).collect();
        let (open, between, close) = match style {
            Style::Plain => ("  ", "  ", ""),
            Style::Markdown => ("| ", " | ", " |"),
        };
        let mut text = match style {
            Style::Plain => format!("{}\n", self.heading),
            Style::Markdown => format!("### {}\n\n", self.heading),
        };
        for cells in [&titles, &rule].into_iter().chain(&self.rows) {
            let padded = cells.iter().zip(&self.columns).zip(&widths).map(|((cell, column), width)| match column {
                Column::Text(_) => format!("{cell:<width$}"),
                Column::Number(_) => format!("{cell:>width$}"),
            });
            let line = format!("{open}{}{close}", padded.collect::<Vec<_>>().join(between));
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn width(&self, at: usize, column: Column) -> usize {
        let cells = self.rows.iter().map(|row| row[at].chars().count());
        cells.max().unwrap_or(0).max(column.title().len()).max(3)
    }
}

fn rule(column: Column, width: usize, style: Style) -> String {
    match (style, column) {
        (Style::Plain, _) | (Style::Markdown, Column::Text(_)) => "-".repeat(width),
        (Style::Markdown, Column::Number(_)) => format!("{}:", "-".repeat(width - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(style: Style, expected: &str) {
        let mut table = Table::new("Rates", &[Column::Text("who"), Column::Number("req/s")]);
        table.row(vec!["a".to_owned(), "10".to_owned()]);
        table.row(vec!["bcde".to_owned()]);
        assert_eq!(table.render(style), expected);
    }

    #[test]
    fn plain_tables_are_aligned() {
        check(Style::Plain, "Rates\n  who   req/s\n  ----  -----\n  a        10\n  bcde\n");
    }

    #[test]
    fn markdown_tables_have_pipes() {
        check(Style::Markdown, "### Rates\n\n| who  | req/s |\n| ---- | ----: |\n| a    |    10 |\n| bcde |       |\n");
    }
}
