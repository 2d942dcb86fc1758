#include "cc/box_coder/anchors.h"

#include <algorithm>
#include <cmath>

namespace roadmark {
namespace {

// A scale per feature map and a last one of 1.
std::vector<double> SsdScales(const SsdAnchorOptions& options, size_t layers) {
  std::vector<double> scales = options.scales;
  for (size_t i = scales.size(); i < layers; ++i) {
    const double share = layers > 1 ? static_cast<double>(i) / static_cast<double>(layers - 1) : 0;
    scales.push_back(options.min_scale + (options.max_scale - options.min_scale) * share);
  }
  scales.push_back(1);
  return scales;
}

std::vector<AnchorShape> SsdShapes(const SsdAnchorOptions& options, double scale, double next,
                                   bool reduced) {
  const auto own = static_cast<float>(scale);
  if (reduced) return {{0.1f, 1.0f}, {own, 2.0f}, {own, 0.5f}};
  std::vector<AnchorShape> shapes;
  for (float aspect_ratio : options.aspect_ratios) shapes.push_back({own, aspect_ratio});
  if (options.interpolated_scale_aspect_ratio > 0) {
    const auto between = static_cast<float>(std::sqrt(scale * next));
    shapes.push_back({between, options.interpolated_scale_aspect_ratio});
  }
  return shapes;
}

}  // namespace

void AppendGridAnchors(const AnchorGrid& grid, const std::vector<AnchorShape>& shapes,
                       std::vector<Box>* anchors) {
  struct HalfSize {
    float height, width;
  };
  std::vector<HalfSize> halves;
  for (const AnchorShape& shape : shapes) {
    const float root = std::sqrt(shape.aspect_ratio);
    halves.push_back({0.5f * (shape.scale / root * grid.base_height),
                      0.5f * (shape.scale * root * grid.base_width)});
  }
  for (int64_t y = 0; y < grid.size.height; ++y) {
    const float ycenter = static_cast<float>(y) * grid.y_stride + grid.y_offset;
    for (int64_t x = 0; x < grid.size.width; ++x) {
      const float xcenter = static_cast<float>(x) * grid.x_stride + grid.x_offset;
      for (const HalfSize& half : halves) {
        anchors->push_back({ycenter - half.height, xcenter - half.width, ycenter + half.height,
                            xcenter + half.width});
      }
    }
  }
}

std::vector<Box> MultiscaleGridAnchors(const MultiscaleGridOptions& options,
                                       const std::vector<FeatureMapSize>& feature_maps,
                                       int64_t image_height, int64_t image_width) {
  std::vector<AnchorShape> shapes;
  for (float aspect_ratio : options.aspect_ratios) {
    for (int k = 0; k < options.scales_per_octave; ++k) {
      const double octaves = static_cast<double>(k) / options.scales_per_octave;
      shapes.push_back({static_cast<float>(std::exp2(octaves)), aspect_ratio});
    }
  }
  std::vector<Box> anchors;
  for (size_t i = 0; i < feature_maps.size(); ++i) {
    const int64_t stride = int64_t{1} << (options.min_level + static_cast<int>(i));
    const auto pixels = static_cast<float>(stride);
    const auto offset = [&](int64_t side) { return side % stride == 0 ? pixels / 2.0f : 0.0f; };
    const float base = static_cast<float>(static_cast<double>(stride) * options.anchor_scale);
    AppendGridAnchors(
        {feature_maps[i], base, base, pixels, pixels, offset(image_height), offset(image_width)},
        shapes, &anchors);
  }
  const float y_scale = 1.0f / static_cast<float>(image_height);
  const float x_scale = 1.0f / static_cast<float>(image_width);
  for (Box& box : anchors) {
    box = {box.ymin * y_scale, box.xmin * x_scale, box.ymax * y_scale, box.xmax * x_scale};
  }
  return anchors;
}

std::vector<Box> SsdAnchors(const SsdAnchorOptions& options,
                            const std::vector<FeatureMapSize>& feature_maps, int64_t image_height,
                            int64_t image_width) {
  const std::vector<double> scales = SsdScales(options, feature_maps.size());
  const auto shorter = static_cast<float>(std::min(image_height, image_width));
  const float base_height = shorter / static_cast<float>(image_height) * options.base_height;
  const float base_width = shorter / static_cast<float>(image_width) * options.base_width;
  std::vector<Box> anchors;
  for (size_t i = 0; i < feature_maps.size(); ++i) {
    const float y_stride = 1.0f / static_cast<float>(feature_maps[i].height);
    const float x_stride = 1.0f / static_cast<float>(feature_maps[i].width);
    const bool reduced = i == 0 && options.reduce_boxes_in_lowest_layer;
    AppendGridAnchors({feature_maps[i], base_height, base_width, y_stride, x_stride,
                       0.5f * y_stride, 0.5f * x_stride},
                      SsdShapes(options, scales[i], scales[i + 1], reduced), &anchors);
  }
  return anchors;
}

}  // namespace roadmark
