#include "cc/annotate/annotate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cc/annotate/tags.h"
#include "cc/annotate/trails.h"
#include "cc/multiversion.h"

namespace roadmark {
namespace {

constexpr YuvEncoding kBt709 = {0.2126, 0.0722, false};
constexpr Style kStyle = {2, 2, 2, 255, 115};
constexpr int64_t kGuard = 4096;  // Bytes that nobody may touch.
constexpr uint8_t kGuardValue = 171;

// Two characters: the sign for unknown ones, and a block of falling coverage for 'x'.
const std::vector<uint8_t> kCoverage = {255, 255, 255, 255, 200, 150, 100, 50, 25, 10};
const std::vector<Glyph> kGlyphs = {{-1, 0, 1, 2, 2, 3, 0}, {'x', -1, 0, 2, 3, 4, 4}};
const GlyphAtlas kAtlas = {kGlyphs.data(), 2, kCoverage.data(), 5};

// A grey picture with guard bytes before and after each plane.
struct Picture {
  Picture(PixelLayout layout, int64_t height, int64_t width)
      : canvas{layout, height, width, {}, kBt709} {
    const int64_t chroma_height = (height + 1) / 2, chroma_width = (width + 1) / 2;
    if (layout == PixelLayout::kRgb) {
      Add(height, width * 3);
    } else {
      Add(height, width);
      Add(chroma_height, layout == PixelLayout::kNv12 ? chroma_width * 2 : chroma_width);
      if (layout == PixelLayout::kI420) Add(chroma_height, chroma_width);
    }
    for (size_t i = 0; i < planes.size(); ++i) canvas.planes[i].samples = planes[i].data() + kGuard;
  }

  void Add(int64_t rows, int64_t bytes) {
    canvas.planes[planes.size()].stride = bytes;
    planes.emplace_back(rows * bytes + 2 * kGuard, 100);
    std::fill_n(planes.back().begin(), kGuard, kGuardValue);
    std::fill_n(planes.back().end() - kGuard, kGuard, kGuardValue);
  }

  bool GuardsAreWhole() const {
    const auto is_guard = [](uint8_t byte) { return byte == kGuardValue; };
    return std::all_of(planes.begin(), planes.end(), [&](const std::vector<uint8_t>& plane) {
      return std::all_of(plane.begin(), plane.begin() + kGuard, is_guard) &&
             std::all_of(plane.end() - kGuard, plane.end(), is_guard);
    });
  }

  Canvas canvas;
  std::vector<std::vector<uint8_t>> planes;
};

// Everything that can be drawn, at places that may be anywhere.
struct Scene {
  explicit Scene(int64_t height, int64_t width, uint32_t seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> share(-0.5f, 1.5f);
    for (int i = 0; i < 12; ++i) {
      const float y = share(random) * height, x = share(random) * width;
      boxes.push_back({y, x, y + share(random) * height, x + share(random) * width});
      labels.push_back(std::u32string(i, i % 2 ? U'x' : U'\u884c'));
      for (int k = 0; k < 9; ++k) trail.push_back({share(random) * height, share(random) * width});
      ends.push_back(static_cast<int64_t>(trail.size()));
      for (int c = 0; c < 3; ++c) colours.push_back(static_cast<uint8_t>(random()));
    }
    masks.resize(boxes.size() * height * width);
    for (uint8_t& value : masks) value = random() % 3 == 0;
  }

  Objects objects() const {
    return {static_cast<int64_t>(boxes.size()),
            boxes.data(),
            colours.data(),
            colours.data(),
            labels.data(),
            masks.data(),
            trail.data(),
            ends.data()};
  }

  std::vector<Box> boxes;
  std::vector<uint8_t> colours, masks;
  std::vector<std::u32string> labels;
  std::vector<Point> trail;
  std::vector<int64_t> ends;
};

constexpr PixelLayout kLayouts[] = {PixelLayout::kRgb, PixelLayout::kI420, PixelLayout::kNv12};

TEST(AnnotateTest, StaysWithinThePicture) {
  for (PixelLayout layout : kLayouts) {
    for (int64_t side : {1, 2, 3, 7, 40, 101}) {
      const Scene scene(side, side + 2, static_cast<uint32_t>(side));
      Picture picture(layout, side, side + 2);
      Annotate(picture.canvas, scene.objects(), kAtlas, kStyle);
      EXPECT_TRUE(picture.GuardsAreWhole()) << side;
    }
  }
}

TEST(AnnotateTest, BoxesWithoutAreaOrWithTooMuchOfIt) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kMax = std::numeric_limits<float>::max();
  const Box boxes[] = {{5, 5, 5, 5},
                       {9, 9, 3, 3},
                       {-kMax, -kMax, kMax, kMax},
                       {kMax, kMax, kMax, 0},
                       {0, 0, kInfinity, 1e9f},
                       {-kInfinity, 0, 4, 4}};
  for (PixelLayout layout : kLayouts) {
    for (const Box& box : boxes) {
      Scene scene(31, 33, 0);
      std::fill(scene.boxes.begin(), scene.boxes.end(), box);
      Picture picture(layout, 31, 33);
      Annotate(picture.canvas, scene.objects(), kAtlas, kStyle);
      EXPECT_TRUE(picture.GuardsAreWhole());
    }
  }
}

TEST(AnnotateTest, SameBytesWithEveryInstructionSet) {
  for (PixelLayout layout : kLayouts) {
    const Scene scene(123, 457, 5);
    const auto run = [&](InstructionSet set) {
      ScopedInstructionSet scoped(set);
      Picture picture(layout, 123, 457);
      Annotate(picture.canvas, scene.objects(), kAtlas, kStyle);
      return picture.planes;
    };
    const auto expected = run(InstructionSet::kBaseline);
    for (InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
      if (!IsSupported(set)) continue;
      EXPECT_EQ(run(set), expected);
    }
  }
}

TEST(AnnotateTest, WithoutObjectsOrPixelsNothingHappens) {
  Picture picture(PixelLayout::kI420, 20, 30);
  const auto before = picture.planes;
  Annotate(picture.canvas, {}, kAtlas, kStyle);
  EXPECT_EQ(picture.planes, before);
  for (PixelLayout layout : kLayouts) {
    Picture empty(layout, 0, 30);
    Annotate(empty.canvas, Scene(1, 30, 1).objects(), kAtlas, kStyle);
    EXPECT_TRUE(empty.GuardsAreWhole());
  }
}

struct PlaceCase {
  const char* proves;
  std::vector<Rect> boxes;
  std::vector<Rect> places;  // Of tags 10 high and 40 wide in a picture of 100 x 200.
};

const PlaceCase kPlaces[] = {
    {"above", {{50, 60, 90, 120}}, {{40, 60, 50, 100}}},
    {"below where there is no room above", {{5, 60, 80, 120}}, {{80, 60, 90, 100}}},
    {"inside where there is no room at all", {{5, 60, 95, 120}}, {{7, 60, 17, 100}}},
    {"moved in at the right edge", {{50, 190, 90, 230}}, {{40, 160, 50, 200}}},
    {"moved in at the left edge", {{50, -30, 90, 20}}, {{40, 0, 50, 40}}},
    {"of a box outside", {{300, 400, 310, 410}}, {{90, 160, 100, 200}}},
    {"of a box far outside", {{-900, -800, -700, -600}}, {{0, 0, 10, 40}}},
    {"not on a small box above it",
     {{50, 60, 90, 120}, {40, 65, 50, 75}},
     {{40, 80, 50, 120}, {30, 65, 40, 105}}},
    {"on a large box, of which it hides little",
     {{50, 60, 90, 120}, {12, 10, 98, 190}},
     {{40, 60, 50, 100}, {2, 10, 12, 50}}},
    {"not on the tag of a better one",
     {{50, 60, 90, 120}, {52, 64, 80, 130}},
     {{40, 60, 50, 100}, {80, 64, 90, 104}}},
};

TEST(PlaceTagsTest, PlacesThemWhereTheyHideLittle) {
  for (const PlaceCase& c : kPlaces) {
    const std::vector<Rect> found =
        PlaceTags({0, 0, 100, 200}, c.boxes, std::vector<Size>(c.boxes.size(), {10, 40}), 2);
    ASSERT_EQ(found.size(), c.places.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].top, c.places[i].top) << c.proves << ": " << i;
      EXPECT_EQ(found[i].left, c.places[i].left) << c.proves << ": " << i;
      EXPECT_EQ(found[i].bottom, c.places[i].bottom) << c.proves << ": " << i;
      EXPECT_EQ(found[i].right, c.places[i].right) << c.proves << ": " << i;
    }
  }
}

TEST(PlaceTagsTest, TagLargerThanThePictureIsCut) {
  const Rect place = PlaceTags({0, 0, 8, 9}, {{2, 2, 4, 4}}, {{10, 40}}, 2)[0];
  EXPECT_EQ(place.area(), 8 * 9);
  EXPECT_EQ(Intersection(place, {0, 0, 8, 9}).area(), 8 * 9);
}

TEST(TextTest, GlyphsStandOneAfterTheOther) {
  const Picture picture(PixelLayout::kI420, 20, 30);
  AlphaTile tile;
  tile.Reset(picture.canvas, {3, 5, 9, 20});
  DrawText(kAtlas, U"xx\u884c", 3, 7, &tile);
  EXPECT_EQ(TextSize(kAtlas, U"xx\u884c").width, 4 + 4 + 3);
  const std::vector<std::vector<int>> expected = {
      {0, 200, 150, 0, 0, 200, 150, 0, 0, 0, 0, 0, 0, 0, 0},
      {0, 100, 50, 0, 0, 100, 50, 0, 0, 0, 255, 255, 0, 0, 0},
      {0, 25, 10, 0, 0, 25, 10, 0, 0, 0, 255, 255, 0, 0, 0},
      std::vector<int>(15, 0)};
  for (size_t y = 0; y < expected.size(); ++y) {
    const uint8_t* row = tile.Row(3 + static_cast<int64_t>(y));
    EXPECT_EQ(std::vector<int>(row, row + 15), expected[y]) << y;
  }
}

// From a pixel's centre to the nearest point of the segment.
double Distance(double y, double x, const Point& a, const Point& b) {
  const double length_y = b.y - a.y, length_x = b.x - a.x;
  const double squared = length_y * length_y + length_x * length_x;
  double along = squared > 0 ? ((y - a.y) * length_y + (x - a.x) * length_x) / squared : 0;
  along = std::min(std::max(along, 0.0), 1.0);
  return std::hypot(y - a.y - along * length_y, x - a.x - along * length_x);
}

struct TrailCase {
  const char* proves;
  std::vector<Point> points;
};

const TrailCase kTrails[] = {
    {"across", {{10, 5}, {10.5f, 40}}},
    {"down", {{5, 10}, {50, 11}}},
    {"diagonal, crossing itself", {{5, 5}, {50, 60}, {50, 10}, {5, 55.5f}}},
    {"a standing object", {{20, 20}, {20, 20}, {20, 20}}},
    {"from far outside", {{-500, -900}, {30, 30}, {40, 2000}}},
    {"outside", {{-500, -900}, {-30, -30}}},
};

TEST(TrailTest, EqualsTheNaiveReference) {
  constexpr double kRadius = 1.5;
  for (const TrailCase& c : kTrails) {
    Picture picture(PixelLayout::kI420, 61, 71);
    const auto count = static_cast<int64_t>(c.points.size());
    AlphaTile tile;
    DrawTrail(picture.canvas, c.points.data(), count, 3, {{200, 128, 128}}, 255, &tile);
    EXPECT_TRUE(picture.GuardsAreWhole());
    for (int64_t y = 0; y < 61; ++y) {
      for (int64_t x = 0; x < 71; ++x) {
        double alpha = 0;
        for (int64_t i = 1; i < count; ++i) {
          const double distance = Distance(y + 0.5, x + 0.5, c.points[i - 1], c.points[i]);
          const double coverage = std::min(std::max(kRadius + 0.5 - distance, 0.0), 1.0);
          alpha = std::max(alpha, coverage * i / (count - 1));
        }
        ASSERT_NEAR(picture.planes[0][kGuard + y * 71 + x], 100 + 100 * alpha, 1.01)
            << c.proves << " at " << y << ", " << x;
      }
    }
  }
}

TEST(TrailTest, OnePointOrNoneIsNoTrail) {
  Picture picture(PixelLayout::kI420, 20, 20);
  const auto before = picture.planes;
  const Point point = {10, 10};
  AlphaTile tile;
  for (int64_t count : {0, 1}) {
    DrawTrail(picture.canvas, &point, count, 3, {{200, 128, 128}}, 255, &tile);
    EXPECT_EQ(picture.planes, before);
  }
}

}  // namespace
}  // namespace roadmark
