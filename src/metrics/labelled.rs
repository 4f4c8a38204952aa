//! One value per combination of labels, bounded.

use std::array;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};
use xxhash_rust::xxh3::xxh3_64;

use crate::sync::lock;

/// Number of combinations that have a value of their own. All later ones share the value [`OTHER`].
const SERIES_MAX: usize = 100;

/// Places for them, more than twice as many: most lookups end at the first.
const PLACES: usize = 256;

/// Longest value of a label in bytes; a longer one counts as [`OTHER`].
const LABEL_BYTES_MAX: usize = 200;

/// The value of every label of the combinations that have no value of their own.
const OTHER: &str = "other";

/// Values of one metric by `N` labels. Cheap to clone; clones share their values.
///
/// A lookup takes no lock and allocates nothing: a place that is filled never changes.
pub(crate) struct Labelled<const N: usize, M>(Arc<Table<N, M>>);

struct Table<const N: usize, M> {
    names: [&'static str; N],
    places: Box<[OnceLock<Series<N, M>>]>,
    other: OnceLock<M>,
    /// Number of places that are filled; locked while one is.
    filled: Mutex<usize>,
}

struct Series<const N: usize, M> {
    labels: [Box<str>; N],
    value: M,
}

impl<const N: usize, M: Default> Labelled<N, M> {
    /// Creates the table for labels of these names.
    pub(crate) fn new(names: [&'static str; N]) -> Self {
        let places = (0..PLACES).map(|_| OnceLock::new()).collect();
        Self(Arc::new(Table { names, places, other: OnceLock::new(), filled: Mutex::new(0) }))
    }

    /// Returns the value for these labels, which is created if it is one of the first.
    pub(crate) fn get(&self, labels: [&str; N]) -> &M {
        if labels.iter().any(|label| label.len() > LABEL_BYTES_MAX) || labels == [OTHER; N] {
            return self.other();
        }
        let (place, found) = self.find(labels);
        found.unwrap_or_else(|| self.insert(labels, place))
    }

    /// Returns the value for these labels, or the place where the search has ended.
    fn find(&self, labels: [&str; N]) -> (usize, Option<&M>) {
        let hash = labels.iter().fold(0, |hash: u64, label| hash.rotate_left(5) ^ xxh3_64(label.as_bytes()));
        // There are more places than series, so an empty one ends every search.
        let mut place = hash as usize % PLACES;
        loop {
            match self.0.places[place].get() {
                None => return (place, None),
                Some(series) if series.has(labels) => return (place, Some(&series.value)),
                Some(_) => place = (place + 1) % PLACES,
            }
        }
    }

    #[cold]
    fn insert(&self, labels: [&str; N], place: usize) -> &M {
        let mut filled = lock(&self.0.filled);
        if *filled >= SERIES_MAX {
            return self.other();
        }
        // Another thread may have filled this place meanwhile, with the same labels or others.
        let (place, found) = match self.0.places[place].get() {
            None => (place, None),
            Some(_) => self.find(labels),
        };
        if let Some(value) = found {
            return value;
        }
        *filled += 1;
        &self.0.places[place].get_or_init(|| Series { labels: labels.map(Box::from), value: M::default() }).value
    }

    fn other(&self) -> &M {
        self.0.other.get_or_init(M::default)
    }
}

impl<const N: usize, M> Series<N, M> {
    fn has(&self, labels: [&str; N]) -> bool {
        self.labels.iter().zip(labels).all(|(own, label)| **own == *label)
    }
}

impl<const N: usize, M> Clone for Labelled<N, M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<const N: usize, M> fmt::Debug for Labelled<N, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Labelled").field("names", &self.0.names).finish_non_exhaustive()
    }
}

impl<const N: usize, M: EncodeMetric + TypedMetric + Send + Sync + 'static> EncodeMetric for Labelled<N, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let mut series: Vec<_> = self.0.places.iter().filter_map(OnceLock::get).collect();
        series.sort_by(|one, other| one.labels.cmp(&other.labels));
        let own = series.into_iter().map(|series| (array::from_fn(|index| &*series.labels[index]), &series.value));
        let other = self.0.other.get().map(|value| ([OTHER; N], value));
        for (labels, value) in own.chain(other) {
            let pairs: [(&str, &str); N] = array::from_fn(|index| (self.0.names[index], labels[index]));
            value.encode(encoder.encode_family(&pairs)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::metrics::openmetrics;

    fn shown(labelled: &Labelled<2, Counter>) -> Vec<String> {
        let mut registry = Registry::default();
        registry.register("seen", "Seen", labelled.clone());
        openmetrics(&registry).lines().filter(|line| line.starts_with("seen")).map(str::to_owned).collect()
    }

    #[test]
    fn each_combination_has_a_value_of_its_own() {
        let labelled: Labelled<2, Counter> = Labelled::new(["role", "message"]);
        for labels in [["users", "a"], ["users", "b"], ["a", "users"], ["users", "a"]] {
            labelled.get(labels).inc();
        }
        let lines = [
            "seen_total{role=\"a\",message=\"users\"} 1",
            "seen_total{role=\"users\",message=\"a\"} 2",
            "seen_total{role=\"users\",message=\"b\"} 1",
        ];
        assert_eq!(shown(&labelled), lines);
    }

    #[test]
    fn combinations_beyond_the_bound_count_as_other() {
        let labelled: Labelled<2, Counter> = Labelled::new(["role", "message"]);
        for number in 0..10 * SERIES_MAX {
            labelled.get(["users", &number.to_string()]).inc();
        }
        labelled.get(["users", "0"]).inc();
        labelled.get(["users", &"x".repeat(LABEL_BYTES_MAX + 1)]).inc();
        labelled.get([OTHER, OTHER]).inc();
        let lines = shown(&labelled);
        assert_eq!(lines.len(), SERIES_MAX + 1);
        assert_eq!(lines.last().unwrap(), "seen_total{role=\"other\",message=\"other\"} 902");
        assert!(lines.contains(&"seen_total{role=\"users\",message=\"0\"} 2".to_owned()), "{lines:?}");
    }

    #[test]
    fn a_label_may_have_any_letters() {
        let labelled: Labelled<2, Counter> = Labelled::new(["role", "message"]);
        labelled.get(["ü", "say \"hi\"\\"]).inc();
        assert_eq!(shown(&labelled), ["seen_total{role=\"ü\",message=\"say \\\"hi\\\"\\\\\"} 1"]);
    }

    #[test]
    fn threads_share_their_values() {
        let labelled: Labelled<2, Counter> = Labelled::new(["role", "message"]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..1000 {
                        labelled.get(["users", &(number % 50).to_string()]).inc();
                    }
                });
            }
        });
        let lines = shown(&labelled);
        assert_eq!(lines.len(), 50);
        assert!(lines.iter().all(|line| line.ends_with(" 80")), "{lines:?}");
    }
}
