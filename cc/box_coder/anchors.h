// Anchors: the boxes that a one-stage network's outputs are relative to.
//
// The numbers of object_detection/anchor_generators, in float32 and in the same order of
// operations.
#ifndef ROADMARK_CC_BOX_CODER_ANCHORS_H_
#define ROADMARK_CC_BOX_CODER_ANCHORS_H_

#include <cstdint>
#include <vector>

#include "cc/box.h"

namespace roadmark {

struct FeatureMapSize {
  int64_t height, width;
};

struct AnchorShape {
  float scale;         // In units of the base size.
  float aspect_ratio;  // Width by height, above 0; the area does not depend on it.
};

// Centres on a grid, one cell per position of a feature map.
struct AnchorGrid {
  FeatureMapSize size;
  float base_height, base_width;
  float y_stride, x_stride;
  float y_offset, x_offset;  // Of the first centre.
};

// Appends an anchor per cell and shape: row by row, cell by cell, shape by shape.
void AppendGridAnchors(const AnchorGrid& grid, const std::vector<AnchorShape>& shapes,
                       std::vector<Box>* anchors);

struct MultiscaleGridOptions {
  int min_level;                     // The first feature map has a stride of 2^min_level pixels.
  float anchor_scale;                // Side of the base anchor, in strides.
  std::vector<float> aspect_ratios;  // Above 0.
  int scales_per_octave;             // 1 or more.
};

// As MultiscaleGridAnchorGenerator (RetinaNet, https://arxiv.org/abs/1708.02002; EfficientDet), for
// one feature map per level. Normalised to an image of the given size; shapes are ordered by aspect
// ratio, then by scale. Centres are half a stride from the border where the stride divides the
// image's side, else on it.
std::vector<Box> MultiscaleGridAnchors(const MultiscaleGridOptions& options,
                                       const std::vector<FeatureMapSize>& feature_maps,
                                       int64_t image_height, int64_t image_width);

struct SsdAnchorOptions {
  double min_scale, max_scale;       // Of the first and the last feature map; evenly in between.
  std::vector<double> scales;        // In place of these, if not empty: one per feature map.
  std::vector<float> aspect_ratios;  // Above 0.
  float interpolated_scale_aspect_ratio;  // Of one more anchor between two scales; 0 for none.
  float base_height, base_width;          // In units of the image's shorter side.
  bool reduce_boxes_in_lowest_layer;      // The first feature map has three shapes of its own.
};

// As create_ssd_anchors() (SSD, https://arxiv.org/abs/1512.02325, section 2.2) without strides and
// offsets of its own: centres are in the middle of a feature map's cells. Normalised to the image,
// not clipped. With one feature map and no `scales`, its scale is `min_scale`.
std::vector<Box> SsdAnchors(const SsdAnchorOptions& options,
                            const std::vector<FeatureMapSize>& feature_maps, int64_t image_height,
                            int64_t image_width);

}  // namespace roadmark

#endif  // ROADMARK_CC_BOX_CODER_ANCHORS_H_
