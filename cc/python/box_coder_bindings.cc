#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "cc/box_coder/anchors.h"
#include "cc/box_coder/box_coder.h"
#include "cc/python/arguments.h"
#include "cc/python/bindings.h"

namespace py = pybind11;

namespace roadmark {
namespace {

// A coder for PyEncode() and PyDecode(): made of the argument that Python gives, which it checks.
struct FasterRcnnCoder {
  using Argument = std::array<float, 4>;
  static constexpr int64_t kColumns = 4;
  explicit FasterRcnnCoder(const Argument& factors) : scales(CheckedScales(factors)) {}
  void Encode(const Box* boxes, const Box* anchors, int64_t count, float* encodings) const {
    EncodeFasterRcnn(boxes, anchors, count, scales, encodings);
  }
  void Decode(const float* encodings, const Box* anchors, int64_t count, Box* boxes) const {
    DecodeFasterRcnn(encodings, anchors, count, scales, boxes);
  }
  BoxScales scales;
};

struct SquareCoder {
  using Argument = std::array<float, 3>;  // Of y, x and the side; see EncodeSquare().
  static constexpr int64_t kColumns = 3;
  explicit SquareCoder(const Argument& factors)
      : scales(CheckedScales({factors[0], factors[1], factors[2], 1.0f})) {}
  void Encode(const Box* boxes, const Box* anchors, int64_t count, float* encodings) const {
    EncodeSquare(boxes, anchors, count, scales, encodings);
  }
  void Decode(const float* encodings, const Box* anchors, int64_t count, Box* boxes) const {
    DecodeSquare(encodings, anchors, count, scales, boxes);
  }
  BoxScales scales;
};

struct MeanStddevCoder {
  using Argument = float;
  static constexpr int64_t kColumns = 4;
  explicit MeanStddevCoder(float given) : stddev(given) {
    Require(stddev > 0 && std::isfinite(stddev), "stddev", stddev, "above 0");
  }
  void Encode(const Box* boxes, const Box* anchors, int64_t count, float* encodings) const {
    EncodeMeanStddev(boxes, anchors, count, stddev, encodings);
  }
  void Decode(const float* encodings, const Box* anchors, int64_t count, Box* boxes) const {
    DecodeMeanStddev(encodings, anchors, count, stddev, boxes);
  }
  float stddev;
};

// An array with a row for each anchor.
struct Anchored {
  Anchored(py::handle values_argument, const char* name, int64_t columns,
           py::handle anchors_argument)
      : anchors(ReadArray<float>(anchors_argument, "anchors", {kAny, 4})),
        count(anchors.shape(0)),
        values(ReadArray<float>(values_argument, name, {count, columns})) {}
  Floats anchors;
  int64_t count;
  Floats values;
};

template <typename Coder>
py::array_t<float> PyEncode(py::handle boxes, py::handle anchors,
                            const typename Coder::Argument& argument) {
  const Anchored input(boxes, "boxes", 4, anchors);
  const Coder coder(argument);
  py::array_t<float> encodings({input.count, Coder::kColumns});
  float* out = encodings.mutable_data();
  py::gil_scoped_release release;
  coder.Encode(AsBoxes(input.values), AsBoxes(input.anchors), input.count, out);
  return encodings;
}

template <typename Coder>
py::array_t<float> PyDecode(py::handle encodings, py::handle anchors,
                            const typename Coder::Argument& argument) {
  const Anchored input(encodings, "encodings", Coder::kColumns, anchors);
  const Coder coder(argument);
  py::array_t<float> boxes({input.count, int64_t{4}});
  Box* out = reinterpret_cast<Box*>(boxes.mutable_data());
  py::gil_scoped_release release;
  coder.Decode(input.values.data(), AsBoxes(input.anchors), input.count, out);
  return boxes;
}

py::array_t<float> PyEncodeKeypoints(py::handle boxes, py::handle keypoints, py::handle anchors,
                                     const std::array<float, 4>& scale_factors) {
  const Anchored input(boxes, "boxes", 4, anchors);
  const Floats keypoints_array = ReadArray<float>(keypoints, "keypoints", {input.count, kAny, 2});
  const int64_t num_keypoints = keypoints_array.shape(1);
  const BoxScales scales = CheckedScales(scale_factors);
  py::array_t<float> encodings({input.count, 4 + 2 * num_keypoints});
  float* out = encodings.mutable_data();
  py::gil_scoped_release release;
  EncodeKeypoints(AsBoxes(input.values), keypoints_array.data(), AsBoxes(input.anchors),
                  input.count, num_keypoints, scales, out);
  return encodings;
}

py::tuple PyDecodeKeypoints(py::handle encodings, py::handle anchors,
                            const std::array<float, 4>& scale_factors) {
  const Anchored input(encodings, "encodings", kAny, anchors);
  const int64_t columns = input.values.shape(1);
  Require(columns >= 4 && columns % 2 == 0, "encodings", Describe(input.values),
          "4 columns and 2 per keypoint");
  const BoxScales scales = CheckedScales(scale_factors);
  const int64_t num_keypoints = (columns - 4) / 2;
  py::array_t<float> boxes({input.count, int64_t{4}});
  py::array_t<float> keypoints({input.count, num_keypoints, int64_t{2}});
  Box* boxes_out = reinterpret_cast<Box*>(boxes.mutable_data());
  float* keypoints_out = keypoints.mutable_data();
  {
    py::gil_scoped_release release;
    DecodeKeypoints(input.values.data(), AsBoxes(input.anchors), input.count, num_keypoints, scales,
                    boxes_out, keypoints_out);
  }
  return py::make_tuple(boxes, keypoints);
}

using Sides = std::pair<int64_t, int64_t>;

// Anchors of all feature maps fit in an array.
constexpr int64_t kMaxAnchors = int64_t{1} << 31;

std::vector<FeatureMapSize> CheckedFeatureMaps(const std::vector<Sides>& sizes,
                                               int64_t anchors_per_cell) {
  std::vector<FeatureMapSize> feature_maps;
  int64_t anchors = 0;
  for (const Sides& size : sizes) {
    const bool fits =
        size.first >= 0 && size.second >= 0 && size.first < (1 << 15) && size.second < (1 << 15);
    Require(fits, "feature_maps", size, "sides of 0 to 32767");
    anchors += size.first * size.second * anchors_per_cell;
    Require(anchors < kMaxAnchors, "feature_maps", anchors, "fewer than 2**31 anchors");
    feature_maps.push_back({size.first, size.second});
  }
  return feature_maps;
}

void RequireImage(const Sides& image_size) {
  Require(image_size.first > 0 && image_size.second > 0, "image_size", image_size, "sides above 0");
}

void RequireAspectRatios(const std::vector<float>& aspect_ratios) {
  Require(aspect_ratios.size() < 256, "aspect_ratios", aspect_ratios.size(), "fewer than 256");
  for (float ratio : aspect_ratios) {
    Require(ratio > 0 && std::isfinite(ratio), "aspect_ratios", ratio, "ratios above 0");
  }
}

py::array_t<float> AsArray(const std::vector<Box>& boxes) {
  py::array_t<float> array({static_cast<py::ssize_t>(boxes.size()), py::ssize_t{4}});
  std::copy(boxes.begin(), boxes.end(), reinterpret_cast<Box*>(array.mutable_data()));
  return array;
}

py::array_t<float> PyMultiscaleGridAnchors(const std::vector<Sides>& feature_maps, Sides image_size,
                                           int min_level, float anchor_scale,
                                           const std::vector<float>& aspect_ratios,
                                           int scales_per_octave) {
  const auto levels = static_cast<int64_t>(feature_maps.size());
  Require(min_level >= 0 && min_level + levels <= 31, "min_level", min_level,
          "0 or more, and levels below 31");
  Require(anchor_scale > 0 && std::isfinite(anchor_scale), "anchor_scale", anchor_scale, "above 0");
  Require(scales_per_octave > 0 && scales_per_octave < 256, "scales_per_octave", scales_per_octave,
          "1 to 255");
  RequireAspectRatios(aspect_ratios);
  RequireImage(image_size);
  const auto per_cell = static_cast<int64_t>(aspect_ratios.size()) * scales_per_octave;
  return AsArray(MultiscaleGridAnchors({min_level, anchor_scale, aspect_ratios, scales_per_octave},
                                       CheckedFeatureMaps(feature_maps, per_cell), image_size.first,
                                       image_size.second));
}

py::array_t<float> PySsdAnchors(const std::vector<Sides>& feature_maps, Sides image_size,
                                double min_scale, double max_scale,
                                const std::vector<double>& scales,
                                const std::vector<float>& aspect_ratios,
                                float interpolated_scale_aspect_ratio,
                                std::pair<float, float> base_anchor_size,
                                bool reduce_boxes_in_lowest_layer) {
  Require(scales.empty() || scales.size() == feature_maps.size(), "scales", scales.size(),
          "one per feature map, or none");
  for (double scale : scales) {
    Require(scale > 0 && std::isfinite(scale), "scales", scale, "scales above 0");
  }
  Require(min_scale > 0 && std::isfinite(min_scale), "min_scale", min_scale, "above 0");
  Require(max_scale > 0 && std::isfinite(max_scale), "max_scale", max_scale, "above 0");
  Require(interpolated_scale_aspect_ratio >= 0 && std::isfinite(interpolated_scale_aspect_ratio),
          "interpolated_scale_aspect_ratio", interpolated_scale_aspect_ratio, "0 or more");
  Require(base_anchor_size.first > 0 && base_anchor_size.second > 0, "base_anchor_size",
          base_anchor_size, "sides above 0");
  RequireAspectRatios(aspect_ratios);
  RequireImage(image_size);
  const auto per_cell = std::max<int64_t>(3, static_cast<int64_t>(aspect_ratios.size()) + 1);
  return AsArray(
      SsdAnchors({min_scale, max_scale, scales, aspect_ratios, interpolated_scale_aspect_ratio,
                  base_anchor_size.first, base_anchor_size.second, reduce_boxes_in_lowest_layer},
                 CheckedFeatureMaps(feature_maps, per_cell), image_size.first, image_size.second));
}

}  // namespace

void BindBoxCoder(py::module_& module) {
  using py::arg;
  using py::kw_only;
  module.def("encode_boxes", &PyEncode<FasterRcnnCoder>, arg("boxes"), arg("anchors"),
             arg("scale_factors"));
  module.def("decode_boxes", &PyDecode<FasterRcnnCoder>, arg("encodings"), arg("anchors"),
             arg("scale_factors"));
  module.def("encode_keypoints", &PyEncodeKeypoints, arg("boxes"), arg("keypoints"), arg("anchors"),
             arg("scale_factors"));
  module.def("decode_keypoints", &PyDecodeKeypoints, arg("encodings"), arg("anchors"),
             arg("scale_factors"));
  module.def("encode_squares", &PyEncode<SquareCoder>, arg("boxes"), arg("anchors"),
             arg("scale_factors"));
  module.def("decode_squares", &PyDecode<SquareCoder>, arg("encodings"), arg("anchors"),
             arg("scale_factors"));
  module.def("encode_mean_stddev", &PyEncode<MeanStddevCoder>, arg("boxes"), arg("anchors"),
             arg("stddev"));
  module.def("decode_mean_stddev", &PyDecode<MeanStddevCoder>, arg("encodings"), arg("anchors"),
             arg("stddev"));
  module.def("multiscale_grid_anchors", &PyMultiscaleGridAnchors, arg("feature_maps"),
             arg("image_size"), kw_only(), arg("min_level"), arg("anchor_scale"),
             arg("aspect_ratios"), arg("scales_per_octave"));
  module.def("ssd_anchors", &PySsdAnchors, arg("feature_maps"), arg("image_size"), kw_only(),
             arg("min_scale"), arg("max_scale"), arg("scales"), arg("aspect_ratios"),
             arg("interpolated_scale_aspect_ratio"), arg("base_anchor_size"),
             arg("reduce_boxes_in_lowest_layer"));
}

}  // namespace roadmark
