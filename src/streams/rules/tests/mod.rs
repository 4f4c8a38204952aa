//! The rules, one idea a test, and all of them against a model.
