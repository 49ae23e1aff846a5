from django.db import migrations, models

import sessions_app.models.session


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0013_needs_you"),
    ]

    operations = [
        migrations.AddField(
            model_name="session",
            name="voice",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The voice of the host; empty: the best one for the language.",
                max_length=60,
            ),
        ),
        migrations.AddField(
            model_name="session",
            name="co_voice",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Reads every other paragraph or sentence; empty: one presenter.",
                max_length=60,
                verbose_name="second presenter",
            ),
        ),
        migrations.AddField(
            model_name="session",
            name="pronunciation",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="How voices say a word, one per line: word = spoken form.",
                max_length=4000,
                validators=[sessions_app.models.session.check_pronunciations],
            ),
        ),
    ]
