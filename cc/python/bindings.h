// One function per operation adds that operation's functions to the module.
#ifndef ROADMARK_CC_PYTHON_BINDINGS_H_
#define ROADMARK_CC_PYTHON_BINDINGS_H_

#include <pybind11/pybind11.h>

namespace roadmark {

void BindAnnotate(pybind11::module_& module);
void BindBoxCoder(pybind11::module_& module);
void BindMatcher(pybind11::module_& module);
void BindNms(pybind11::module_& module);
void BindPostprocess(pybind11::module_& module);
void BindPreprocess(pybind11::module_& module);

}  // namespace roadmark

#endif  // ROADMARK_CC_PYTHON_BINDINGS_H_
