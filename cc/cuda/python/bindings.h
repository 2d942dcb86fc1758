// What adds an operation's functions to the module and has a file of its own.
#ifndef ROADMARK_CC_CUDA_PYTHON_BINDINGS_H_
#define ROADMARK_CC_CUDA_PYTHON_BINDINGS_H_

#include <pybind11/pybind11.h>

namespace roadmark {
namespace cuda {

void BindAnnotate(pybind11::module_& module);

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_CUDA_PYTHON_BINDINGS_H_
