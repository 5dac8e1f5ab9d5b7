//! A library that is opened and closed while a profile is taken: its function calls the one that it is given, so that
//! there is a frame of the library's on the stack.

#[unsafe(no_mangle)]
pub extern "C" fn call_back(call: extern "C" fn(usize) -> usize, argument: usize) -> usize {
    // Behind the call, so that it is none at the end.
    std::hint::black_box(call(argument)) + 1
}
