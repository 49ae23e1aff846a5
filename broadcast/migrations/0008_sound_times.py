from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("broadcast", "0007_audio_stream"),
    ]

    operations = [
        migrations.AddField(
            model_name="sound",
            name="times",
            field=models.JSONField(
                db_default=models.Value("[]"),
                default=list,
                help_text="Begin and end of each sentence in seconds; empty for a sound of an old version.",
            ),
        ),
    ]
