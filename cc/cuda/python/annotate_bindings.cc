#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <utility>

#include "cc/annotate/annotate_cuda.h"
#include "cc/cuda/python/bindings.h"
#include "cc/cuda/python/device_array.h"
#include "cc/python/arguments.h"

namespace py = pybind11;

namespace roadmark {
namespace cuda {
namespace {

constexpr int64_t kMaxObjects = 65535, kMaxCharacters = 4096;
constexpr int64_t kGlyphValues = sizeof(Glyph) / sizeof(int32_t);

Nv12Picture PictureOf(Call* call, const py::tuple& planes, const YuvEncoding& encoding) {
  Require(planes.size() == 2, "planes", planes.size(), "2 planes (NV12)");
  const DeviceArray luma = call->WriteRows(planes[0], "planes[0]", "uint8", {kAnySize, kAnySize});
  RequireSides(luma, "planes[0]");
  const int64_t height = luma.shape[0], width = luma.shape[1];
  const DeviceArray chroma =
      call->WriteRows(planes[1], "planes[1]", "uint8", {(height + 1) / 2, (width + 1) / 2, 2});
  return {luma.As<uint8_t>(),
          chroma.As<uint8_t>(),
          luma.strides[0],
          chroma.strides[0],
          height,
          width,
          encoding};
}

int64_t PyAnnotateWorkspaceBytes(int64_t capacity, int64_t label_length) {
  Require(capacity >= 0 && capacity <= kMaxObjects, "capacity", capacity, "0 to 65535");
  Require(label_length >= 0 && label_length <= kMaxCharacters, "label_length", label_length,
          "0 to 4096");
  return AnnotateWorkspaceBytes(capacity, label_length);
}

void PyAnnotate(const py::tuple& planes, std::pair<double, double> luma_weights, bool full_range,
                py::handle boxes, py::handle count, py::handle colours, py::handle text_colours,
                py::handle labels, py::handle masks, py::handle trail_points, py::handle trail_ends,
                py::handle glyphs, py::handle coverage, int64_t line_height, int64_t line_width,
                int64_t trail_width, int64_t margin, int64_t opacity, int64_t mask_opacity,
                py::handle workspace, py::handle stream) {
  Call call(stream);
  const Nv12Picture picture = PictureOf(&call, planes, CheckedEncoding(luma_weights, full_range));
  const Style style = CheckedStyle(line_width, trail_width, margin, opacity, mask_opacity);
  const DeviceArray box_array = call.Read(boxes, "boxes", "float32", {kAnySize, 4});
  const int64_t capacity = box_array.shape[0];
  Require(capacity <= kMaxObjects, "boxes", capacity, "0 to 65535 boxes");
  Objects objects = {};
  objects.capacity = capacity;
  objects.boxes = box_array.As<Box>();
  if (!count.is_none()) objects.count = call.Read(count, "count", "int32", {1}).As<int32_t>();
  objects.colours = call.Read(colours, "colours", "uint8", {capacity, 3}).As<uint8_t>();
  objects.text_colours =
      call.Read(text_colours, "text_colours", "uint8", {capacity, 3}).As<uint8_t>();
  const DeviceArray label_array = call.Read(labels, "labels", "int32", {capacity, kAnySize});
  objects.labels = label_array.As<int32_t>();
  objects.label_length = label_array.shape[1];
  Require(objects.label_length <= kMaxCharacters, "labels", objects.label_length,
          "0 to 4096 characters");
  if (!masks.is_none()) {
    objects.masks =
        call.Read(masks, "masks", "bool", {capacity, picture.height, picture.width}).As<uint8_t>();
  }
  if (trail_points.is_none() != trail_ends.is_none()) {
    throw py::value_error(
        "trail_points: found without trail_ends or the other way round, expected both or neither");
  }
  if (!trail_points.is_none()) {
    const DeviceArray points = call.Read(trail_points, "trail_points", "float32", {kAnySize, 2});
    objects.trail_points = points.As<Point>();
    objects.num_trail_points = points.shape[0];
    objects.trail_ends = call.Read(trail_ends, "trail_ends", "int64", {capacity}).As<int64_t>();
  }
  const DeviceArray glyph_array = call.Read(glyphs, "glyphs", "int32", {kAnySize, kGlyphValues});
  Require(glyph_array.shape[0] > 0, "glyphs", glyph_array.shape[0],
          "one for unknown characters at least");
  const DeviceArray coverage_array = call.Read(coverage, "coverage", "uint8", {kAnySize});
  Require(line_height > 0 && line_height < 1 << 16, "line_height", line_height, "1 to 65535");
  const DeviceGlyphAtlas atlas = {
      {glyph_array.As<Glyph>(), glyph_array.shape[0], coverage_array.As<uint8_t>(), line_height},
      coverage_array.shape[0]};
  void* buffer = call.Workspace(workspace, AnnotateWorkspaceBytes(capacity, objects.label_length));
  RaiseUnlessSuccess(Annotate(picture, objects, atlas, style, buffer, call.stream()), "annotate");
}

}  // namespace

void BindAnnotate(py::module_& module) {
  using py::arg;
  using py::kw_only;
  module.def("annotate_workspace_bytes", &PyAnnotateWorkspaceBytes, arg("capacity"),
             arg("label_length"));
  module.def("annotate", &PyAnnotate, arg("planes"), kw_only(), arg("luma_weights"),
             arg("full_range"), arg("boxes"), arg("count"), arg("colours"), arg("text_colours"),
             arg("labels"), arg("masks"), arg("trail_points"), arg("trail_ends"), arg("glyphs"),
             arg("coverage"), arg("line_height"), arg("line_width"), arg("trail_width"),
             arg("margin"), arg("opacity"), arg("mask_opacity"), arg("workspace"), arg("stream"));
}

}  // namespace cuda
}  // namespace roadmark
