from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("broadcast", "0005_episode_contents"),
    ]

    operations = [
        migrations.AddField(
            model_name="broadcast",
            name="ending",
            field=models.JSONField(
                blank=True,
                help_text="A stop that can be undone: null or {when, at, by}",
                null=True,
            ),
        ),
    ]
