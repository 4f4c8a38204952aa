//! What is asked of disk stores beyond the contract.

mod damaged;
mod failing;
mod flipped;
mod joining;
mod keeping;
mod large;
