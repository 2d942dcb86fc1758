#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "cc/annotate/annotate.h"
#include "cc/python/arguments.h"
#include "cc/python/bindings.h"

namespace py = pybind11;

namespace roadmark {
namespace {

using Labels = std::vector<std::u32string>;

std::string Name(const char* name, int64_t index) {
  return std::string(name) + "[" + std::to_string(index) + "]";
}

// Rows may lie apart, but what is in one must be packed.
Plane WriteablePlane(py::handle argument, const std::string& name,
                     const std::vector<int64_t>& shape) {
  py::array array = CheckedArray(argument, name.c_str(), py::dtype::of<uint8_t>(), shape);
  int64_t packed = 1;
  for (py::ssize_t axis = array.ndim() - 1; axis > 0; --axis) {
    if (array.strides(axis) != packed && array.shape(axis) != 1) {
      throw py::value_error(name + ": found strides " +
                            std::string(py::str(array.attr("strides"))) +
                            ", expected samples that lie side by side in a row");
    }
    packed *= array.shape(axis);
  }
  if (!array.writeable()) {
    throw py::value_error(name + ": found a read-only array, expected one to draw on in place");
  }
  return {static_cast<uint8_t*>(array.mutable_data()), array.strides(0)};
}

Canvas RgbCanvas(const py::sequence& planes) {
  const py::array image =
      CheckedArray(planes[0], "image", py::dtype::of<uint8_t>(), {kAny, kAny, 3});
  Canvas canvas = {PixelLayout::kRgb, image.shape(0), image.shape(1), {}, {}};
  canvas.planes[0] = WriteablePlane(planes[0], "image", {kAny, kAny, 3});
  return canvas;
}

Canvas YuvCanvas(const py::sequence& planes, const YuvEncoding& encoding) {
  const std::string names[] = {Name("planes", 0), Name("planes", 1), Name("planes", 2)};
  const py::array luma =
      CheckedArray(planes[0], names[0].c_str(), py::dtype::of<uint8_t>(), {kAny, kAny});
  const bool is_nv12 = planes.size() == 2;
  Canvas canvas = {is_nv12 ? PixelLayout::kNv12 : PixelLayout::kI420,
                   luma.shape(0),
                   luma.shape(1),
                   {},
                   encoding};
  std::vector<int64_t> chroma = {(canvas.height + 1) / 2, (canvas.width + 1) / 2};
  if (is_nv12) chroma.push_back(2);
  canvas.planes[0] = WriteablePlane(planes[0], names[0], {canvas.height, canvas.width});
  for (size_t i = 1; i < planes.size(); ++i) {
    canvas.planes[i] = WriteablePlane(planes[i], names[i], chroma);
  }
  return canvas;
}

Canvas CheckedCanvas(const py::sequence& planes, std::pair<double, double> luma_weights,
                     bool full_range) {
  Require(planes.size() >= 1 && planes.size() <= 3, "planes", planes.size(),
          "1 (RGB), 2 (Y, CbCr) or 3 (Y, Cb, Cr)");
  if (planes.size() == 1) return RgbCanvas(planes);
  return YuvCanvas(planes, CheckedEncoding(luma_weights, full_range));
}

// A label that is no str is refused by pybind11.
std::u32string ToCodePoints(const py::str& label) {
  std::u32string text(PyUnicode_GetLength(label.ptr()), 0);
  for (size_t i = 0; i < text.size(); ++i) {
    text[i] = PyUnicode_READ_CHAR(label.ptr(), static_cast<py::ssize_t>(i));
  }
  return text;
}

GlyphAtlas CheckedAtlas(const py::array_t<int32_t>& glyphs, const py::array_t<uint8_t>& coverage,
                        int64_t line_height) {
  Require(glyphs.shape(0) > 0, "glyphs", glyphs.shape(0), "one for unknown characters at least");
  // Bitmaps of text, and lines of it, stay far from overflow.
  constexpr int32_t kLimit = 1 << 16;
  Require(line_height > 0 && line_height < kLimit, "line_height", line_height, "1 to 65535");
  const auto* first = reinterpret_cast<const Glyph*>(glyphs.data());
  for (py::ssize_t i = 0; i < glyphs.shape(0); ++i) {
    const Glyph& glyph = first[i];
    const bool fits = glyph.width >= 0 && glyph.height >= 0 && glyph.offset >= 0 &&
                      glyph.width < kLimit && glyph.height < kLimit &&
                      glyph.offset + int64_t{glyph.width} * glyph.height <= coverage.size() &&
                      std::abs(int64_t{glyph.left}) < kLimit &&
                      std::abs(int64_t{glyph.top}) < kLimit &&
                      std::abs(int64_t{glyph.advance}) < kLimit;
    const bool sorted = i < 2 || first[i - 1].code_point < glyph.code_point;
    if (fits && sorted) continue;
    throw py::value_error(Name("glyphs", i) + ": found " +
                          std::string(py::str(glyphs[py::int_(i)])) +
                          ", expected a bitmap within coverage, sorted by code point");
  }
  return {first, glyphs.shape(0), coverage.data(), line_height};
}

void CheckTrails(const py::array_t<float>& points, const py::array_t<int64_t>& ends) {
  int64_t last = 0;
  for (py::ssize_t i = 0; i < ends.size(); ++i) {
    Require(ends.at(i) >= last && ends.at(i) <= points.shape(0), "trail_ends", ends.at(i),
            "rising counts of points");
    last = ends.at(i);
  }
  for (py::ssize_t i = 0; i < points.shape(0); ++i) {
    if (std::isfinite(points.at(i, 0)) && std::isfinite(points.at(i, 1))) continue;
    throw py::value_error(Name("trail_points", i) + ": found " +
                          std::string(py::str(points[py::int_(i)])) +
                          ", expected finite coordinates");
  }
}

void PyAnnotate(const py::sequence& planes, std::pair<double, double> luma_weights, bool full_range,
                py::handle boxes, py::handle colours, py::handle text_colours,
                const std::vector<py::str>& labels, const py::object& masks,
                py::handle trail_points, py::handle trail_ends, py::handle glyphs,
                py::handle coverage, int64_t line_height, int64_t line_width, int64_t trail_width,
                int64_t margin, int64_t opacity, int64_t mask_opacity) {
  const Canvas canvas = CheckedCanvas(planes, luma_weights, full_range);
  const auto box_array = ReadArray<float>(boxes, "boxes", {kAny, 4});
  RequireNoNan(box_array, "boxes");
  const int64_t count = box_array.shape(0);
  const auto colour_array = ReadArray<uint8_t>(colours, "colours", {count, 3});
  const auto text_colour_array = ReadArray<uint8_t>(text_colours, "text_colours", {count, 3});
  Require(static_cast<int64_t>(labels.size()) == count, "labels", labels.size(), "one per box");
  Labels texts;
  for (const py::str& label : labels) texts.push_back(ToCodePoints(label));
  py::array_t<bool, py::array::c_style> mask_array;
  if (!masks.is_none()) {
    mask_array = ReadArray<bool>(masks, "masks", {count, canvas.height, canvas.width});
  }
  const auto point_array = ReadArray<float>(trail_points, "trail_points", {kAny, 2});
  const auto end_array = ReadArray<int64_t>(trail_ends, "trail_ends", {count});
  CheckTrails(point_array, end_array);
  const auto glyph_array = ReadArray<int32_t>(glyphs, "glyphs", {kAny, 7});
  const auto coverage_array = ReadArray<uint8_t>(coverage, "coverage", {kAny});
  const GlyphAtlas atlas = CheckedAtlas(glyph_array, coverage_array, line_height);
  const Style style = CheckedStyle(line_width, trail_width, margin, opacity, mask_opacity);
  const Objects objects = {
      count,
      AsBoxes(box_array),
      colour_array.data(),
      text_colour_array.data(),
      texts.data(),
      masks.is_none() ? nullptr : reinterpret_cast<const uint8_t*>(mask_array.data()),
      reinterpret_cast<const Point*>(point_array.data()),
      end_array.data()};
  py::gil_scoped_release release;
  Annotate(canvas, objects, atlas, style);
}

}  // namespace

void BindAnnotate(py::module_& module) {
  using py::arg;
  using py::kw_only;
  module.def("annotate", &PyAnnotate, arg("planes"), kw_only(), arg("luma_weights"),
             arg("full_range"), arg("boxes"), arg("colours"), arg("text_colours"), arg("labels"),
             arg("masks"), arg("trail_points"), arg("trail_ends"), arg("glyphs"), arg("coverage"),
             arg("line_height"), arg("line_width"), arg("trail_width"), arg("margin"),
             arg("opacity"), arg("mask_opacity"));
}

}  // namespace roadmark
