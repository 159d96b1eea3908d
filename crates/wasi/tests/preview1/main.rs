//! The functions of preview 1 as a guest calls them: numbers and addresses in, bytes out.

mod any_numbers;
mod bad_input;
mod directories;
mod files;
mod guest;
mod links;
mod opening;
mod polling;
mod sandbox;
mod stdio;
