#include "cc/box_coder/anchors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace roadmark {
namespace {

void ExpectBoxes(const std::vector<Box>& found, const std::vector<Box>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_FLOAT_EQ(found[i].ymin, expected[i].ymin) << i;
    EXPECT_FLOAT_EQ(found[i].xmin, expected[i].xmin) << i;
    EXPECT_FLOAT_EQ(found[i].ymax, expected[i].ymax) << i;
    EXPECT_FLOAT_EQ(found[i].xmax, expected[i].xmax) << i;
  }
}

TEST(GridAnchorsTest, RowByRowThenShapeByShape) {
  std::vector<Box> anchors;
  // Aspect ratio 4: twice as wide and half as high as the square of the same area.
  AppendGridAnchors({{1, 2}, 8, 8, 10, 20, 3, 4}, {{1, 1}, {2, 4}}, &anchors);
  ExpectBoxes(anchors, {{-1, 0, 7, 8}, {-1, -12, 7, 20}, {-1, 20, 7, 28}, {-1, 8, 7, 40}});
}

TEST(MultiscaleGridTest, StridesDoubleAndScalesLieInAnOctave) {
  const MultiscaleGridOptions options = {3, 4, {1}, 2};
  const auto anchors = MultiscaleGridAnchors(options, {{2, 1}, {1, 1}}, 16, 16);
  const float root = std::sqrt(2.0f);
  // Sides of 32 and 32 sqrt(2) pixels around (4, 4) and (12, 4), then of 64 around (8, 8).
  ExpectBoxes(anchors, {{-12 / 16.0f, -12 / 16.0f, 20 / 16.0f, 20 / 16.0f},
                        {0.25f - root, 0.25f - root, 0.25f + root, 0.25f + root},
                        {-4 / 16.0f, -12 / 16.0f, 28 / 16.0f, 20 / 16.0f},
                        {0.75f - root, 0.25f - root, 0.75f + root, 0.25f + root},
                        {-1.5f, -1.5f, 2.5f, 2.5f},
                        {0.5f - 2 * root, 0.5f - 2 * root, 0.5f + 2 * root, 0.5f + 2 * root}});
}

TEST(MultiscaleGridTest, CentresAreOnTheBorderWhereTheStrideDoesNotDivideTheSide) {
  const auto anchors = MultiscaleGridAnchors({3, 1, {1}, 1}, {{1, 1}}, 16, 12);
  ExpectBoxes(anchors, {{0, -4 / 12.0f, 0.5f, 4 / 12.0f}});
}

TEST(SsdTest, LowestLayerHasThreeShapesAndOthersOneBetweenScales) {
  const SsdAnchorOptions options = {0.2, 0.8, {}, {1}, 1, 1, 1, true};
  const auto anchors = SsdAnchors(options, {{1, 1}, {1, 1}}, 100, 100);
  const float wide = 0.1f * std::sqrt(2.0f), narrow = 0.1f / std::sqrt(2.0f);
  const float between = std::sqrt(0.8f) / 2;
  ExpectBoxes(anchors, {{0.45f, 0.45f, 0.55f, 0.55f},
                        {0.5f - narrow, 0.5f - wide, 0.5f + narrow, 0.5f + wide},
                        {0.5f - wide, 0.5f - narrow, 0.5f + wide, 0.5f + narrow},
                        {0.1f, 0.1f, 0.9f, 0.9f},
                        {0.5f - between, 0.5f - between, 0.5f + between, 0.5f + between}});
}

TEST(SsdTest, SquareInPixelsOfAWideImageAndNoInterpolation) {
  const SsdAnchorOptions options = {0, 0, {0.5}, {1}, 0, 1, 1, false};
  const auto anchors = SsdAnchors(options, {{1, 2}}, 100, 200);
  ExpectBoxes(anchors, {{0.25f, 0.125f, 0.75f, 0.375f}, {0.25f, 0.625f, 0.75f, 0.875f}});
}

TEST(AnchorsTest, NoFeatureMapNoAnchor) {
  EXPECT_TRUE(MultiscaleGridAnchors({3, 4, {1}, 2}, {}, 16, 16).empty());
  EXPECT_TRUE(SsdAnchors({0.2, 0.8, {}, {1}, 1, 1, 1, true}, {}, 16, 16).empty());
  EXPECT_TRUE(MultiscaleGridAnchors({3, 4, {1}, 2}, {{0, 5}}, 16, 16).empty());
}

}  // namespace
}  // namespace roadmark
