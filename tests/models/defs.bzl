"""A trained model as a build target: made once, then cached like any other output."""

def _trained_model_impl(ctx):
    folder = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run(
        executable = ctx.executable._trainer,
        arguments = [
            "--config=" + ctx.file.config.path,
            "--out=" + folder.path,
            "--num_images=%d" % ctx.attr.num_images,
            "--steps=%d" % ctx.attr.steps,
        ] + ["--set=" + setting for setting in ctx.attr.overrides],
        inputs = [ctx.file.config],
        outputs = [folder],
        mnemonic = "TrainModel",
        progress_message = "Training %s for %d steps" % (ctx.label.name, ctx.attr.steps),
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([folder]), runfiles = ctx.runfiles([folder]))]

# A run folder, as `train` and `export` leave it, with the records that it was trained on.
trained_model = rule(
    implementation = _trained_model_impl,
    attrs = {
        "config": attr.label(mandatory = True, allow_single_file = [".config"]),
        "num_images": attr.int(mandatory = True),
        "overrides": attr.string_list(doc = "path.to.field=value of the config"),
        "steps": attr.int(mandatory = True),
        # Of the target configuration, lest the native code be compiled twice.
        "_trainer": attr.label(
            default = "//tests/models:trainer",
            executable = True,
            cfg = "target",
        ),
    },
)
