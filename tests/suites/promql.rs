//! A small Prometheus: scrapes texts, and answers the part of PromQL that our alerts use. Expressions are read by
//! `promql-parser`; what is evaluated follows Prometheus' documentation. Whatever it does not know panics.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::MatchOp;
use promql_parser::parser::{BinaryExpr, Call, Expr, LabelModifier, Offset, VectorSelector};

/// Labels of a series, its name as `__name__` among them.
pub type Labels = BTreeMap<String, String>;
/// What an expression is at a moment: a number for each set of labels.
pub type Vector = Vec<(Labels, f64)>;

/// For how long a sample counts when no newer one came.
const LOOKBACK: i64 = 300;

/// All that was scraped: for each series its samples, `None` where it had vanished from its target.
#[derive(Debug, Default)]
pub struct Prometheus(BTreeMap<Labels, Vec<(i64, Option<f64>)>>);

/// One number of many samples.
type Summary<'a> = dyn Fn(&[(f64, f64)]) -> f64 + 'a;

enum Value {
    Scalar(f64),
    Vector(Vector),
}

impl Prometheus {
    /// Takes in what a target shows at a moment.
    pub fn scrape(&mut self, at: i64, target: &[(&str, &str)], text: &str) {
        let own: Labels = target.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut seen = BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (mut labels, value) = sample(line);
            labels.extend(own.clone());
            seen.insert(labels.clone());
            self.0.entry(labels).or_default().push((at, Some(value)));
        }
        let is_own = |labels: &Labels| own.iter().all(|(name, value)| labels.get(name) == Some(value));
        for (labels, samples) in self.0.iter_mut().filter(|(labels, _)| is_own(labels)) {
            if !seen.contains(labels) && samples.last().is_some_and(|(_, value)| value.is_some()) {
                samples.push((at, None));
            }
        }
    }

    /// What an expression is at a moment.
    pub fn query(&self, text: &str, at: i64) -> Vector {
        let expr = promql_parser::parser::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        match self.eval(&expr, at) {
            Value::Vector(vector) => vector,
            Value::Scalar(_) => panic!("{text} is a number: an alert needs labels"),
        }
    }

    fn eval(&self, expr: &Expr, at: i64) -> Value {
        match expr {
            Expr::Paren(inner) => self.eval(&inner.expr, at),
            Expr::NumberLiteral(number) => Value::Scalar(number.val),
            Expr::VectorSelector(selector) => Value::Vector(self.instant(selector, at)),
            Expr::Aggregate(aggregate) => {
                let best = match aggregate.op.to_string().as_str() {
                    "max" => f64::max,
                    "min" => f64::min,
                    other => panic!("the aggregation {other}"),
                };
                let by = match &aggregate.modifier {
                    Some(LabelModifier::Include(names)) => names.labels.clone(),
                    Some(LabelModifier::Exclude(_)) => panic!("without"),
                    None => Vec::new(),
                };
                let mut groups: BTreeMap<Labels, f64> = BTreeMap::new();
                for (labels, value) in self.vector(&aggregate.expr, at) {
                    let key = labels.into_iter().filter(|(name, _)| by.contains(name)).collect();
                    groups.entry(key).and_modify(|best_yet| *best_yet = best(*best_yet, value)).or_insert(value);
                }
                Value::Vector(groups.into_iter().collect())
            }
            Expr::Call(call) => self.call(call, at),
            Expr::Binary(binary) => self.binary(binary, at),
            other => panic!("{other}"),
        }
    }

    fn vector(&self, expr: &Expr, at: i64) -> Vector {
        match self.eval(expr, at) {
            Value::Vector(vector) => vector,
            Value::Scalar(_) => panic!("{expr} is no vector"),
        }
    }

    fn matching(&self, selector: &VectorSelector) -> impl Iterator<Item = (&Labels, &Vec<(i64, Option<f64>)>)> {
        self.0.iter().filter(move |(labels, _)| {
            selector.name.as_ref().is_none_or(|name| labels.get("__name__") == Some(name))
                && selector.matchers.matchers.iter().all(|matcher| {
                    let is = labels.get(&matcher.name).map_or("", String::as_str) == matcher.value;
                    match matcher.op {
                        MatchOp::Equal => is,
                        MatchOp::NotEqual => !is,
                        ref other => panic!("the matcher {other}"),
                    }
                })
        })
    }

    fn instant(&self, selector: &VectorSelector, at: i64) -> Vector {
        let at = moved(selector, at);
        let newest = |samples: &Vec<(i64, Option<f64>)>| {
            let (time, value) = samples.iter().rev().find(|(time, _)| *time <= at)?;
            value.filter(|_| *time > at - LOOKBACK)
        };
        self.matching(selector).filter_map(|(labels, samples)| Some((labels.clone(), newest(samples)?))).collect()
    }

    fn range(&self, expr: &Expr, at: i64) -> Vec<(Labels, Vec<(f64, f64)>)> {
        let Expr::MatrixSelector(matrix) = expr else { panic!("{expr} is no range") };
        let at = moved(&matrix.vs, at);
        let from = at - i64::try_from(matrix.range.as_secs()).unwrap();
        let inside = |samples: &Vec<(i64, Option<f64>)>| -> Vec<(f64, f64)> {
            let within = samples.iter().filter(|(time, _)| *time > from && *time <= at);
            within.filter_map(|(time, value)| Some((*time as f64, (*value)?))).collect()
        };
        // One sample says nothing about change.
        let series = self.matching(&matrix.vs).map(|(labels, samples)| (nameless(labels), inside(samples)));
        series.filter(|(_, samples)| samples.len() >= 2).collect()
    }

    fn call(&self, call: &Call, at: i64) -> Value {
        let argument = |place: usize| call.args.args.get(place).unwrap().as_ref();
        let over = |of: &Summary<'_>| {
            Value::Vector(self.range(argument(0), at).into_iter().map(|(labels, all)| (labels, of(&all))).collect())
        };
        match call.func.name {
            "time" => Value::Scalar(at as f64),
            "absent" => {
                let nothing = self.vector(argument(0), at).is_empty();
                Value::Vector(if nothing { vec![(Labels::new(), 1.0)] } else { Vec::new() })
            }
            // Without the extrapolation to the ends of the range: it changes by how much, never whether.
            "increase" => over(&|all| {
                all.windows(2).map(|pair| if pair[1].1 < pair[0].1 { pair[1].1 } else { pair[1].1 - pair[0].1 }).sum()
            }),
            "deriv" => over(&|all| regression(all, at as f64).0),
            "predict_linear" => {
                let Value::Scalar(ahead) = self.eval(argument(1), at) else { panic!("a time ahead") };
                over(&|all| {
                    let (slope, now) = regression(all, at as f64);
                    now + slope * ahead
                })
            }
            other => panic!("the function {other}"),
        }
    }

    fn binary(&self, binary: &BinaryExpr, at: i64) -> Value {
        assert!(binary.modifier.as_ref().is_none_or(|modifier| modifier.matching.is_none()), "{binary}: on, ignoring");
        let op = binary.op.to_string();
        let keys = |vector: &Vector| vector.iter().map(|(labels, _)| nameless(labels)).collect::<BTreeSet<_>>();
        match (op.as_str(), self.eval(&binary.lhs, at), self.eval(&binary.rhs, at)) {
            ("and" | "unless", Value::Vector(mut left), Value::Vector(right)) => {
                let there = keys(&right);
                left.retain(|(labels, _)| there.contains(&nameless(labels)) == (op == "and"));
                Value::Vector(left)
            }
            ("or", Value::Vector(mut left), Value::Vector(right)) => {
                let there = keys(&left);
                left.extend(right.into_iter().filter(|(labels, _)| !there.contains(&nameless(labels))));
                Value::Vector(left)
            }
            (_, Value::Scalar(left), Value::Scalar(right)) => Value::Scalar(apply(&op, left, right).0),
            (_, Value::Vector(left), Value::Scalar(right)) => Value::Vector(
                left.into_iter().filter_map(|(labels, left)| kept(&op, labels, left, right, left)).collect(),
            ),
            (_, Value::Scalar(left), Value::Vector(right)) => Value::Vector(
                right.into_iter().filter_map(|(labels, right)| kept(&op, labels, left, right, right)).collect(),
            ),
            _ => panic!("{binary}"),
        }
    }
}

/// The result of an operator; for a comparison, whether it holds.
fn apply(op: &str, left: f64, right: f64) -> (f64, Option<bool>) {
    match op {
        "+" => (left + right, None),
        "-" => (left - right, None),
        "*" => (left * right, None),
        "/" => (left / right, None),
        "<" => (left, Some(left < right)),
        ">" => (left, Some(left > right)),
        "==" => (left, Some((left - right).abs() < f64::EPSILON)),
        other => panic!("the operator {other}"),
    }
}

/// An element of a vector after an operator: comparisons keep it as it is, or drop it.
fn kept(op: &str, labels: Labels, left: f64, right: f64, element: f64) -> Option<(Labels, f64)> {
    match apply(op, left, right) {
        (_, Some(holds)) => holds.then_some((labels, element)),
        (value, None) => Some((nameless(&labels), value)),
    }
}

fn moved(selector: &VectorSelector, at: i64) -> i64 {
    match &selector.offset {
        None => at,
        Some(Offset::Pos(by)) => at - i64::try_from(by.as_secs()).unwrap(),
        Some(Offset::Neg(by)) => at + i64::try_from(by.as_secs()).unwrap(),
    }
}

fn nameless(labels: &Labels) -> Labels {
    labels.iter().filter(|(name, _)| *name != "__name__").map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Slope of the line through the samples, and where it is at a moment.
fn regression(samples: &[(f64, f64)], at: f64) -> (f64, f64) {
    let count = samples.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (time, value) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let along: f64 = samples.iter().map(|sample| (sample.0 - time) * (sample.1 - value)).sum();
    let spread: f64 = samples.iter().map(|sample| (sample.0 - time).powi(2)).sum();
    let slope = along / spread;
    (slope, value + slope * (at - time))
}

/// A line of the text format. Our label values hold no quotes, commas or braces.
fn sample(line: &str) -> (Labels, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let (name, inside) = series.split_once('{').unwrap_or((series, ""));
    let pairs = inside.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty());
    let mut labels: Labels = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), value.trim_matches('"').to_owned())
        })
        .collect();
    labels.insert("__name__".to_owned(), name.to_owned());
    (labels, value.parse().unwrap_or_else(|error| panic!("{line}: {error}")))
}
