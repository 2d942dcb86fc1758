// The extension module roadmark.ops._native; its documentation is in _native.pyi and roadmark.ops.
#include "cc/python/bindings.h"

PYBIND11_MODULE(_native, module) {
  roadmark::BindAnnotate(module);
  roadmark::BindBoxCoder(module);
  roadmark::BindMatcher(module);
  roadmark::BindNms(module);
  roadmark::BindPostprocess(module);
  roadmark::BindPreprocess(module);
}
