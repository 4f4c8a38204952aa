//! The samples of a run, and their medians.

use crate::samples::{LOAD, Sample};

/// All samples, by contender, cell and round.
pub struct Results<Name> {
    rows: Vec<Row<Name>>,
}

struct Row<Name> {
    name: Name,
    cell: usize,
    samples: Vec<Sample>,
}

/// A median, and the range that it comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle value.
    pub median: f64,
    /// The smallest value.
    pub low: f64,
    /// The largest value.
    pub high: f64,
}

/// Medians over the rounds of one cell of one contender.
pub struct Summary {
    /// Answered calls a second.
    pub per_second: Spread,
    /// Median of the rounds' medians, in milliseconds.
    pub p50_ms: f64,
    /// Median of the rounds' 99th percentiles, in milliseconds.
    pub p99_ms: f64,
    /// Failed calls of all rounds together.
    pub errors: u64,
    /// Error of the first of them.
    pub first_error: Option<String>,
    /// Role, CPU time per call in microseconds, resident MiB; in the order in which a call meets the processes.
    pub spent: Vec<(&'static str, f64, f64)>,
}

impl<Name> Default for Results<Name> {
    fn default() -> Self {
        Self { rows: Vec::new() }
    }
}

impl<Name: Copy + PartialEq> Results<Name> {
    /// Adds the sample of the next round.
    pub fn add(&mut self, name: Name, cell: usize, sample: Sample) {
        match self.rows.iter_mut().find(|row| row.name == name && row.cell == cell) {
            Some(row) => row.samples.push(sample),
            None => self.rows.push(Row { name, cell, samples: vec![sample] }),
        }
    }

    /// The medians of a cell; `None` when the contender has no sample of it.
    pub fn summary(&self, name: Name, cell: usize) -> Option<Summary> {
        let samples = self.samples(name, cell);
        let first = samples.first()?;
        let of = |value: fn(&Sample) -> f64| spread(samples.iter().map(value));
        let spent = first.spent.iter().enumerate().map(|(at, process)| {
            let cpu = spread(samples.iter().map(|sample| sample.spent[at].cpu_us));
            let resident = spread(samples.iter().map(|sample| sample.spent[at].resident_mib));
            Some((process.role, cpu?.median, resident?.median))
        });
        Some(Summary {
            per_second: of(|sample| sample.figures.per_second)?,
            p50_ms: of(|sample| sample.figures.p50_ms)?.median,
            p99_ms: of(|sample| sample.figures.p99_ms)?.median,
            errors: samples.iter().map(|sample| sample.figures.errors).sum(),
            first_error: samples.iter().find_map(|sample| sample.figures.first_error.clone()),
            spent: spent.collect::<Option<_>>()?,
        })
    }

    /// Compares two contenders round by round, so that what disturbs a whole round falls out.
    pub fn compare(
        &self,
        (left, right): (Name, Name),
        cell: usize,
        compare: impl Fn(&Sample, &Sample) -> f64,
    ) -> Option<Spread> {
        let pairs = self.samples(left, cell).iter().zip(self.samples(right, cell));
        spread(pairs.map(|(left, right)| compare(left, right)))
    }

    /// CPU time per call that the contender's processes of `role` spent, in microseconds.
    pub fn cpu_us(&self, name: Name, cell: usize, role: &str) -> Option<Spread> {
        let of = |sample: &Sample| -> f64 {
            sample.spent.iter().filter(|process| process.role == role).map(|process| process.cpu_us).sum()
        };
        spread(self.samples(name, cell).iter().map(of))
    }

    /// One figure of a cell of a contender.
    pub fn figure(&self, name: Name, cell: usize, figure: impl Fn(&Sample) -> f64) -> Option<Spread> {
        spread(self.samples(name, cell).iter().map(figure))
    }

    /// Cores that everything but the contender at work kept busy, over all samples.
    pub fn foreign_cores(&self) -> Option<Spread> {
        let samples = self.rows.iter().flat_map(|row| &row.samples);
        spread(samples.map(|sample| sample.foreign_cores))
    }

    fn samples(&self, name: Name, cell: usize) -> &[Sample] {
        self.rows.iter().find(|row| row.name == name && row.cell == cell).map_or(&[], |row| &row.samples)
    }
}

impl Summary {
    /// CPU time per call of everything but the load generator, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.spent.iter().filter(|(role, ..)| *role != LOAD).map(|(_, cpu, _)| cpu).sum()
    }
}

/// The median and range of `values`; `None` when there are none.
pub fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
    Some(Spread { median, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64], expected: Option<(f64, f64, f64)>) {
        let expected = expected.map(|(median, low, high)| Spread { median, low, high });
        assert_eq!(spread(values.iter().copied()), expected);
    }

    #[test]
    fn the_median_is_the_middle_value_or_between_the_two() {
        check(&[], None);
        check(&[3.0, 1.0, 2.0], Some((2.0, 1.0, 3.0)));
        check(&[4.0, 1.0, 2.0, 3.0], Some((2.5, 1.0, 4.0)));
    }
}
