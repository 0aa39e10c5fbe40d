(** B11. The second derivative of KL: what is explained grows at the mean of the squared Frobenius norm of the posterior covariance. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Mixture Divergence Formulas B D_time B_small Translate Info.
Local Open Scope R_scope.

Section Rate.
Variables (d n : nat) (p : nat -> R) (y : nat -> vec).
Hypothesis Hw : weights n p.
Notation xi_ := (xi n p y).
Notation T := (trC d n p y).
Notation mu s := (fun i => vscal s (xi_ i)).
Notation rt s := (mix d n p (mu s)).
Notation ps s i u := (post d n p xi_ s i u).
Notation xhat s := (hat d n p xi_ s).
Notation sp := (spread d n p y).
Notation expl := (explained d n p y).

(** The posterior covariance at u, and the mean of its squared Frobenius norm *)
Definition covp (s : R) (u : vec) (k l : nat) : R := sumn n (fun j => ps s j u * (xi_ j k - xhat s u k) * xi_ j l).
Definition frob (s : R) : R := E d (fun u => rt s u * sumn d (fun k => sumn d (fun l => covp s u k l ^ 2))).

Let Hps s u : weights n (fun j => ps s j u).
Proof. split; [intros; apply post_nonneg; auto|apply post_sum; auto]. Qed.

Lemma covp_sym s u k l : covp s u k l = sumn n (fun j => ps s j u * (xi_ j k * xi_ j l)) - xhat s u k * xhat s u l.
Proof.
  unfold covp. rewrite (sumn_ext n _ (fun j => ps s j u * (xi_ j k * xi_ j l) - xhat s u k * (ps s j u * xi_ j l))) by (intros; ring).
  rewrite sumn_minus, sumn_scal. reflexivity.
Qed.

(** What the answer f is worth to the point i: [2 <xi, f> - |f|^2] *)
Definition worth (s : R) (i : nat) (u : vec) : R := sumn d (fun k => 2 * xi_ i k * xhat s u k - xhat s u k ^ 2).
Definition slope_of (s : R) (i : nat) (u : vec) : R := sumn d (fun k => 2 * (xi_ i k - xhat s u k) * (s * sumn d (fun l => covp s u k l * xi_ i l))).
Definition Gfix (s0 s : R) : R := E d (fun u => sumn n (fun i => p i * (ratio d (mu s i) u * worth s0 i u))).

Lemma tame_xhat s k : tame d (fun u => xhat s u k).
Proof. apply tame_hat; auto. Qed.
Lemma tame_worth s i : tame d (worth s i).
Proof.
  apply (tame_sum d d (fun k u => 2 * xi_ i k * xhat s u k - xhat s u k ^ 2)). intros k _.
  apply tame_minus; [apply tame_scal, tame_xhat|apply (tame_pow d (fun u => xhat s u k)), tame_xhat].
Qed.
Lemma tame_covp s k l : tame d (fun u => covp s u k l).
Proof.
  apply (tame_sum d n (fun j u => ps s j u * (xi_ j k - xhat s u k) * xi_ j l)). intros j _.
  apply (tame_mult d (fun u => ps s j u * (xi_ j k - xhat s u k)) (fun _ => xi_ j l)); [|apply tame_const].
  apply (tame_mult d (fun u => ps s j u)); [apply tame_post; auto|apply (tame_minus d (fun _ => xi_ j k)); [apply tame_const|apply tame_xhat]].
Qed.
Lemma tame_slope s i : tame d (slope_of s i).
Proof.
  apply (tame_sum d d (fun k u => 2 * (xi_ i k - xhat s u k) * (s * sumn d (fun l => covp s u k l * xi_ i l)))). intros k _.
  apply (tame_mult d (fun u => 2 * (xi_ i k - xhat s u k))); [apply tame_scal, (tame_minus d (fun _ => xi_ i k)); [apply tame_const|apply tame_xhat]|].
  apply tame_scal. apply (tame_sum d d (fun l u => covp s u k l * xi_ i l)). intros l _. apply (tame_mult d (fun u => covp s u k l)); [apply tame_covp|apply tame_const].
Qed.

Lemma covp_row s u k i : sumn d (fun l => covp s u k l * xi_ i l) = sumn n (fun j => ps s j u * ((xi_ j k - xhat s u k) * dot d (xi_ j) (xi_ i))).
Proof.
  unfold covp. rewrite (sumn_ext d _ (fun l => sumn n (fun j => ps s j u * (xi_ j k - xhat s u k) * (xi_ j l * xi_ i l)))) by (intros; rewrite <- sumn_scal_r; apply sumn_ext; intros; ring).
  rewrite sumn_swap. apply sumn_ext. intros j _. rewrite sumn_scal. unfold dot. ring.
Qed.

Lemma xhat_second s i v h k : (i < n)%nat -> (k < d)%nat -> Rabs h <= 1 ->
  let M := Rabs s * sp ^ 2 in
  Rabs (xhat s (vplus v (vscal h (xi_ i))) k - xhat s v k - h * (s * sumn d (fun l => covp s v k l * xi_ i l)))
  <= h ^ 2 * ((2 * M) ^ 2 * exp (2 * M) * (2 * sp + 2 * M * sp)).
Proof.
  intros Hi Hk Hh M. set (f := fun j => s * dot d (xi_ j) (xi_ i)).
  assert (HM : forall j, (j < n)%nat -> Rabs (f j) <= M).
  { intros j Hj. unfold f, M. rewrite Rabs_mult. apply Rmult_le_compat_l; [apply Rabs_pos|]. eapply Rle_trans; [apply Rabs_sum_dot|].
    replace (sp ^ 2) with (sp * sp) by ring. apply Rmult_le_compat; try apply len_nonneg; apply len_spread; auto. }
  pose proof (tilt_second n (fun j => ps s j v) f (fun j => xi_ j k) M sp h (Hps s v) HM (fun j Hj => coord_spread d n p y j k Hj Hk) Hh) as TS. cbv zeta in TS.
  assert (R1 : forall j, p j * ratio d (mu s j) (vplus v (vscal h (xi_ i))) = rt s v * (ps s j v * exp (h * f j))).
  { intros j. rewrite <- Rmult_assoc, <- (rt_post d n p y Hw), Rmult_assoc. f_equal. unfold ratio. rewrite <- exp_plus. f_equal. unfold f. rewrite dot_plus_r, dot_scal_r, !dot_scal_l. ring. }
  assert (X : xhat s (vplus v (vscal h (xi_ i))) k = sumn n (fun j => ps s j v * exp (h * f j) * xi_ j k) / sumn n (fun j => ps s j v * exp (h * f j))).
  { rewrite (xhat_coord d n p y). unfold mix at 1. pose proof (mix_pos d n p (mu s) v Hw) as P0.
    rewrite (sumn_ext n (fun j => p j * ratio d (mu s j) (vplus v (vscal h (xi_ i))) * xi_ j k) (fun j => rt s v * (ps s j v * exp (h * f j) * xi_ j k))) by (intros; rewrite R1; ring).
    rewrite (sumn_ext n (fun j => p j * ratio d (mu s j) (vplus v (vscal h (xi_ i)))) (fun j => rt s v * (ps s j v * exp (h * f j)))) by (intros; apply R1).
    rewrite !sumn_scal. unfold Rdiv. rewrite Rinv_mult. field_simplify_eq; [ring|]. repeat split; try lra.
    apply Rgt_not_eq. destruct (sumn_some_pos n _ (proj1 (Hps s v))) as (j & Hj & Hpj); [rewrite (proj2 (Hps s v)); lra|]. apply sumn_pos.
    - intros q Hq. apply Rmult_le_pos; [apply Hps; auto|left; apply exp_pos].
    - exists j. split; auto. apply Rmult_lt_0_compat; auto. apply exp_pos. }
  rewrite X. replace (xhat s v k) with (sumn n (fun j => ps s j v * xi_ j k)) by reflexivity.
  replace (s * sumn d (fun l => covp s v k l * xi_ i l)) with (sumn n (fun j => ps s j v * (f j - sumn n (fun j => ps s j v * f j)) * xi_ j k)); [exact TS|].
  set (m := sumn n (fun j => ps s j v * f j)). rewrite covp_row, <- sumn_scal.
  rewrite (sumn_ext n _ (fun j => ps s j v * f j * xi_ j k - m * (ps s j v * xi_ j k))) by (intros; ring).
  rewrite (sumn_ext n (fun j => s * (ps s j v * ((xi_ j k - xhat s v k) * dot d (xi_ j) (xi_ i)))) (fun j => ps s j v * f j * xi_ j k - xhat s v k * (ps s j v * f j))) by (intros; unfold f; ring).
  rewrite !sumn_minus, !sumn_scal. change (sumn n (fun j => ps s j v * xi_ j k)) with (xhat s v k). fold m. ring.
Qed.

Lemma covp_row_bounded s i u k : (i < n)%nat -> (k < d)%nat -> Rabs (sumn d (fun l => covp s u k l * xi_ i l)) <= 2 * sp * sp ^ 2.
Proof.
  intros Hi Hk. rewrite covp_row. eapply Rle_trans; [apply sumn_abs|]. apply Rle_trans with (sumn n (fun j => ps s j u * (2 * sp * sp ^ 2))); [|rewrite sumn_scal_r, (proj2 (Hps s u)); lra].
  apply sumn_le. intros j Hj. rewrite Rabs_mult, (Rabs_right (ps s j u)) by (apply Rle_ge, (Hps s u); auto). apply Rmult_le_compat_l; [apply (Hps s u); auto|].
  rewrite Rabs_mult. apply Rmult_le_compat; try apply Rabs_pos.
  - unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. pose proof (coord_spread d n p y j k Hj Hk). pose proof (xhat_bounded d n p y Hw s u k Hk). lra.
  - eapply Rle_trans; [apply Rabs_sum_dot|]. replace (sp ^ 2) with (sp * sp) by ring. apply Rmult_le_compat; try apply len_nonneg; apply len_spread; auto.
Qed.

Definition K_worth (s : R) : R := let M := Rabs s * sp ^ 2 in let K := (2 * M) ^ 2 * exp (2 * M) * (2 * sp + 2 * M * sp) in
  INR d * (4 * sp * K + 2 * (Rabs s * (2 * sp * sp ^ 2)) ^ 2 + 2 * K ^ 2).

Lemma worth_second s i u t h : (i < n)%nat -> Rabs h <= 1 ->
  Rabs (worth s i (vplus u (vscal (t + h) (xi_ i))) - worth s i (vplus u (vscal t (xi_ i))) - h * slope_of s i (vplus u (vscal t (xi_ i)))) <= h ^ 2 * K_worth s.
Proof.
  intros Hi Hh. set (v := vplus u (vscal t (xi_ i))).
  assert (Ev : vplus u (vscal (t + h) (xi_ i)) = vplus v (vscal h (xi_ i))) by (apply functional_extensionality; intros k; unfold v, vplus, vscal; ring).
  rewrite Ev. unfold worth, slope_of. rewrite <- sumn_scal, <- !sumn_minus. eapply Rle_trans; [apply sumn_abs|]. unfold K_worth.
  set (M := Rabs s * sp ^ 2). set (K := (2 * M) ^ 2 * exp (2 * M) * (2 * sp + 2 * M * sp)). pose proof (spread_nonneg d n p y) as Hs0.
  assert (M0 : 0 <= M) by (apply Rmult_le_pos; [apply Rabs_pos|apply pow2_ge_0]).
  assert (K0 : 0 <= K). { unfold K. apply Rmult_le_pos; [apply Rmult_le_pos; [apply pow2_ge_0|left; apply exp_pos]|]. assert (0 <= M * sp) by (apply Rmult_le_pos; auto). lra. }
  set (W := 4 * sp * K + 2 * (Rabs s * (2 * sp * sp ^ 2)) ^ 2 + 2 * K ^ 2).
  apply Rle_trans with (sumn d (fun _ => h ^ 2 * W)); [|rewrite sumn_const; right; ring]. apply sumn_le. intros k Hk.
  set (f := xhat s v k). set (fh := xhat s (vplus v (vscal h (xi_ i))) k). set (dl := s * sumn d (fun l => covp s v k l * xi_ i l)). set (x := xi_ i k).
  set (r := fh - f - h * dl). assert (Hr : Rabs r <= h ^ 2 * K) by (apply (xhat_second s i v h k Hi Hk Hh)).
  assert (Hdl : Rabs dl <= Rabs s * (2 * sp * sp ^ 2)) by (unfold dl; rewrite Rabs_mult; apply Rmult_le_compat_l; [apply Rabs_pos|apply covp_row_bounded; auto]).
  assert (Hxf : Rabs (x - f) <= 2 * sp).
  { unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. pose proof (coord_spread d n p y i k Hi Hk). pose proof (xhat_bounded d n p y Hw s v k Hk). unfold x, f. lra. }
  replace (2 * x * fh - fh ^ 2 - (2 * x * f - f ^ 2) - h * (2 * (x - f) * dl)) with (2 * (x - f) * r - (h * dl + r) ^ 2) by (unfold r; ring).
  unfold Rminus at 1. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp, !Rabs_mult, (Rabs_right 2), (Rabs_right ((h * dl + r) ^ 2)) by (try apply Rle_ge, pow2_ge_0; lra).
  assert (H2 : 0 <= h ^ 2 <= 1) by (split; [apply pow2_ge_0|rewrite <- pow2_abs; replace 1 with (1 ^ 2) by ring; apply pow_incr; split; [apply Rabs_pos|auto]]).
  assert (A1 : 2 * Rabs (x - f) * Rabs r <= h ^ 2 * (4 * sp * K)).
  { apply Rle_trans with (2 * (2 * sp) * (h ^ 2 * K)); [|right; ring]. apply Rmult_le_compat; try lra; try apply Rabs_pos. pose proof (Rabs_pos (x - f)). lra. }
  assert (A2 : (h * dl + r) ^ 2 <= 2 * (h * dl) ^ 2 + 2 * r ^ 2) by (pose proof (pow2_ge_0 (h * dl - r)); nra).
  assert (A3 : (h * dl) ^ 2 <= h ^ 2 * (Rabs s * (2 * sp * sp ^ 2)) ^ 2).
  { rewrite Rpow_mult_distr. apply Rmult_le_compat_l; [lra|]. rewrite <- (pow2_abs dl). apply pow_incr. split; [apply Rabs_pos|auto]. }
  assert (A4 : r ^ 2 <= h ^ 2 * K ^ 2).
  { apply Rle_trans with ((h ^ 2 * K) ^ 2); [rewrite <- (pow2_abs r); apply pow_incr; split; [apply Rabs_pos|auto]|]. rewrite Rpow_mult_distr.
    apply Rmult_le_compat_r; [apply pow2_ge_0|]. replace ((h ^ 2) ^ 2) with (h ^ 2 * h ^ 2) by ring. nra. }
  unfold W. lra.
Qed.

Lemma derive_Gfix s : is_derive (Gfix s) s (2 * s * frob s).
Proof.
  assert (J : forall t, Gfix s t = sumn n (fun i => p i * E d (fun u => worth s i (vplus u (vscal t (xi_ i)))))).
  { intros t. unfold Gfix. rewrite (E_sum d n (fun i u => p i * (ratio d (mu t i) u * worth s i u))) by (intros; apply tame_scal, tame_mult; [apply tame_ratio|apply tame_worth]).
    apply sumn_ext. intros i _. rewrite E_scal by (apply tame_mult; [apply tame_ratio|apply tame_worth]). f_equal. apply (E_translate d (vscal t (xi_ i)) (worth s i) (tame_worth s i)). }
  apply (derive_quadratic _ s _ (K_worth s)). intros h Hh. rewrite !J.
  replace (2 * s * frob s) with (sumn n (fun i => p i * E d (fun u => slope_of s i (vplus u (vscal s (xi_ i)))))).
  2:{ rewrite (sumn_ext n _ (fun i => E d (fun u => p i * (ratio d (vscal s (xi_ i)) u * slope_of s i u)))).
      - rewrite <- (E_sum d n (fun i u => p i * (ratio d (vscal s (xi_ i)) u * slope_of s i u))) by (intros; apply tame_scal, tame_mult; [apply tame_ratio|apply tame_slope]).
        unfold frob. rewrite <- E_scal.
        + apply E_ext. intros u. rewrite (sumn_ext n _ (fun i => rt s u * (2 * s * sumn d (fun k => sumn d (fun l => ps s i u * (xi_ i k - xhat s u k) * xi_ i l * covp s u k l))))).
          * rewrite sumn_scal, sumn_scal, sumn_swap.
            rewrite (sumn_ext d (fun k => sumn n (fun i => sumn d (fun l => ps s i u * (xi_ i k - xhat s u k) * xi_ i l * covp s u k l))) (fun k => sumn d (fun l => covp s u k l ^ 2))); [ring|].
            intros k _. rewrite sumn_swap. apply sumn_ext. intros l _. rewrite sumn_scal_r. fold (covp s u k l). ring.
          * intros i _. rewrite <- Rmult_assoc, (rt_post d n p y Hw), Rmult_assoc. f_equal. unfold slope_of. rewrite <- !sumn_scal. apply sumn_ext. intros k _.
            rewrite <- !sumn_scal. apply sumn_ext. intros; ring.
        + apply tame_mult; [apply tame_mix|]. apply (tame_sum d d (fun k u => sumn d (fun l => covp s u k l ^ 2))). intros k _.
          apply (tame_sum d d (fun l u => covp s u k l ^ 2)). intros l _. apply (tame_pow d (fun u => covp s u k l)), tame_covp.
      - intros i _. rewrite E_scal by (apply tame_mult; [apply tame_ratio|apply tame_slope]). f_equal. symmetry. apply (E_translate d (vscal s (xi_ i)) (slope_of s i) (tame_slope s i)). }
  rewrite <- sumn_scal, <- !sumn_minus. eapply Rle_trans; [apply sumn_abs|].
  apply Rle_trans with (sumn n (fun i => p i * (h ^ 2 * K_worth s))); [|rewrite sumn_scal_r, (proj2 Hw); lra].
  apply sumn_le. intros i Hi.
  assert (T1 : forall t, tame d (fun u => worth s i (vplus u (vscal t (xi_ i))))) by (intros t; apply (tame_translate d (vscal t (xi_ i)) (worth s i)), tame_worth).
  assert (T2 : tame d (fun u => slope_of s i (vplus u (vscal s (xi_ i))))) by (apply (tame_translate d (vscal s (xi_ i)) (slope_of s i)), tame_slope).
  match goal with |- Rabs (p i * ?a - p i * ?b - h * (p i * ?c)) <= _ => replace (p i * a - p i * b - h * (p i * c)) with (p i * (a - b - h * c)) by ring end.
  rewrite Rabs_mult, (Rabs_right (p i)) by (apply Rle_ge, Hw; auto). apply Rmult_le_compat_l; [apply Hw; auto|].
  rewrite <- E_minus, <- E_scal, <- E_minus by (auto; try apply tame_minus; auto; apply tame_scal; auto).
  rewrite <- (E_const d (h ^ 2 * K_worth s)). apply E_abs_le; [apply tame_minus; [apply tame_minus; auto|apply tame_scal; auto]|apply tame_const|].
  intros u. apply (worth_second s i u s h Hi Hh).
Qed.

(** How far a posterior mean moves with s *)
Definition drift (s : R) (u : vec) : R := 4 * pace d n p y s u * exp ((Rabs s + 1) ^ 2 * T / 2).

Lemma mean_moves s h u (c : nat -> R) B : Rabs h <= 1 -> 0 <= B -> (forall i, (i < n)%nat -> Rabs (c i) <= B) ->
  Rabs (sumn n (fun i => ps (s + h) i u * c i) - sumn n (fun i => ps s i u * c i)) <= Rabs h * drift s u * B.
Proof.
  intros Hh HB Hc. pose proof (mix_pos d n p (mu s) u Hw) as P0. pose proof (mix_pos d n p (mu (s + h)) u Hw) as P1.
  set (N0 := sumn n (fun i => p i * ratio d (mu s i) u * c i)). set (N1 := sumn n (fun i => p i * ratio d (mu (s + h) i) u * c i)).
  set (a := sumn n (fun i => ps s i u * c i)). set (b := sumn n (fun i => ps (s + h) i u * c i)). set (R0 := rt s u) in *. set (R1 := rt (s + h) u) in *.
  assert (Ea : a * R0 = N0). { unfold a, N0. rewrite <- sumn_scal_r. apply sumn_ext. intros i _. rewrite (rt_post d n p y Hw). fold R0. ring. }
  assert (Eb : b * R1 = N1). { unfold b, N1. rewrite <- sumn_scal_r. apply sumn_ext. intros i _. rewrite (rt_post d n p y Hw). fold R1. ring. }
  set (e := Rabs h * (2 * pace d n p y s u)). assert (He : 0 <= e) by (apply Rmult_le_pos; [apply Rabs_pos|pose proof (pace_nonneg d n p y s u); lra]).
  assert (DN : Rabs (N1 - N0) <= e * B) by (apply (sum_moves d n p y Hw s h u c B Hh Hc)).
  assert (DR : Rabs (R1 - R0) <= e) by (apply (rt_moves d n p y Hw); auto).
  assert (Ba : Rabs a <= B).
  { unfold a. eapply Rle_trans; [apply sumn_abs|]. apply Rle_trans with (sumn n (fun i => ps s i u * B)); [|rewrite sumn_scal_r, (proj2 (Hps s u)); lra].
    apply sumn_le. intros i Hi. rewrite Rabs_mult, (Rabs_right (ps s i u)) by (apply Rle_ge, (Hps s u); auto). apply Rmult_le_compat_l; [apply (Hps s u); auto|auto]. }
  set (cc := exp ((Rabs s + 1) ^ 2 * T / 2)).
  assert (HI : / R1 <= cc).
  { eapply Rle_trans; [apply (rt_inv d n p y Hw)|]. apply exp_le_mono. assert (0 <= T) by (apply trC_nonneg; auto).
    assert ((s + h) ^ 2 <= (Rabs s + 1) ^ 2). { rewrite <- pow2_abs. apply pow_incr. split; [apply Rabs_pos|]. eapply Rle_trans; [apply Rabs_triang|lra]. }
    nra. }
  assert (I0 : 0 < / R1) by (apply Rinv_0_lt_compat; auto).
  replace (b - a) with (((N1 - N0) - a * (R1 - R0)) * / R1) by (rewrite <- Eb, <- Ea; field; lra).
  rewrite Rabs_mult, (Rabs_right (/ R1)) by lra. unfold drift. fold cc. replace (Rabs h * (4 * pace d n p y s u * cc) * B) with (2 * (e * B) * cc) by (unfold e; ring).
  apply Rmult_le_compat; try lra; [apply Rabs_pos|]. unfold Rminus at 1. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp, Rabs_mult.
  assert (Rabs a * Rabs (R1 - R0) <= B * e) by (apply Rmult_le_compat; auto; apply Rabs_pos). lra.
Qed.

Lemma tame_drift s : tame d (drift s).
Proof.
  unfold drift. set (cc := exp ((Rabs s + 1) ^ 2 * T / 2)). rewrite (functional_extensionality _ (fun u => 4 * cc * pace d n p y s u)) by (intros; ring).
  apply tame_scal, tame_pace.
Qed.
Lemma drift_nonneg s u : 0 <= drift s u.
Proof. unfold drift. pose proof (pace_nonneg d n p y s u). pose proof (exp_pos ((Rabs s + 1) ^ 2 * T / 2)). apply Rmult_le_pos; lra. Qed.

(** The gain of the right answer over the answer for another s is quadratic. *)
Theorem B11_rate s : is_derive expl s (2 * s * frob s).
Proof.
  set (Kf := fun u => (rt s u + 2 * pace d n p y s u) * (INR d * (drift s u * sp) ^ 2)).
  assert (TK : tame d Kf).
  { unfold Kf. apply tame_mult; [apply tame_plus; [apply tame_mix|apply tame_scal, tame_pace]|]. apply tame_scal. apply (tame_pow d (fun u => drift s u * sp)).
    apply (tame_mult d (drift s) (fun _ => sp)); [apply tame_drift|apply tame_const]. }
  assert (Split : forall t u, sumn n (fun i => p i * (ratio d (mu t i) u * worth s i u)) = rt t u * sumn d (fun k => 2 * xhat t u k * xhat s u k - xhat s u k ^ 2)).
  { intros t u. rewrite (sumn_ext n _ (fun i => rt t u * sumn d (fun k => 2 * xhat s u k * (ps t i u * xi_ i k) - xhat s u k ^ 2 * ps t i u))).
    - rewrite sumn_scal, sumn_swap. f_equal. apply sumn_ext. intros k _. rewrite sumn_minus, !sumn_scal, (proj2 (Hps t u)). change (sumn n (fun i => ps t i u * xi_ i k)) with (xhat t u k). ring.
    - intros i _. rewrite <- Rmult_assoc, (rt_post d n p y Hw), Rmult_assoc. f_equal. unfold worth. rewrite <- sumn_scal. apply sumn_ext. intros; ring. }
  assert (TG : forall t, tame d (fun u => sumn n (fun i => p i * (ratio d (mu t i) u * worth s i u)))).
  { intros t. apply (tame_sum d n (fun i u => p i * (ratio d (mu t i) u * worth s i u))). intros i _. apply tame_scal, tame_mult; [apply tame_ratio|apply tame_worth]. }
  apply (derive_close expl (Gfix s) s _ (E d Kf) (derive_Gfix s)).
  - unfold explained, Gfix. apply E_ext. intros u. rewrite Split. f_equal. unfold sq, dot. apply sumn_ext. intros; ring.
  - intros h Hh. unfold explained, Gfix. rewrite <- E_minus by (auto; apply tame_explained; auto). rewrite <- E_scal by auto.
    apply E_abs_le; [apply tame_minus; auto; apply tame_explained; auto|apply tame_scal; auto|]. intros u. rewrite Split.
    replace (rt (s + h) u * sq d (xhat (s + h) u) - rt (s + h) u * sumn d (fun k => 2 * xhat (s + h) u k * xhat s u k - xhat s u k ^ 2))
      with (rt (s + h) u * sumn d (fun k => (xhat (s + h) u k - xhat s u k) ^ 2)).
    2:{ unfold sq, dot. rewrite <- Rmult_minus_distr_l, <- sumn_minus. f_equal. apply sumn_ext. intros; ring. }
    pose proof (mix_pos d n p (mu (s + h)) u Hw) as P1. pose proof (mix_pos d n p (mu s) u Hw) as P0.
    assert (S0 : 0 <= sumn d (fun k => (xhat (s + h) u k - xhat s u k) ^ 2)) by (apply sumn_nonneg; intros; apply pow2_ge_0).
    rewrite Rabs_right by (apply Rle_ge, Rmult_le_pos; lra).
    assert (S1 : sumn d (fun k => (xhat (s + h) u k - xhat s u k) ^ 2) <= h ^ 2 * (INR d * (drift s u * sp) ^ 2)).
    { apply Rle_trans with (sumn d (fun _ => h ^ 2 * (drift s u * sp) ^ 2)); [|rewrite sumn_const; right; ring]. apply sumn_le. intros k Hk.
      rewrite <- (pow2_abs (xhat (s + h) u k - xhat s u k)), <- (pow2_abs h), <- Rpow_mult_distr. apply pow_incr. split; [apply Rabs_pos|].
      eapply Rle_trans; [apply (mean_moves s h u (fun i => xi_ i k) sp Hh (spread_nonneg d n p y) (fun i Hi => coord_spread d n p y i k Hi Hk))|right; ring]. }
    assert (R1' : rt (s + h) u <= rt s u + 2 * pace d n p y s u).
    { pose proof (rt_moves d n p y Hw s h u Hh) as M. apply Rabs_le_between in M. pose proof (pace_nonneg d n p y s u). pose proof (Rabs_pos h). nra. }
    unfold Kf. apply Rle_trans with ((rt s u + 2 * pace d n p y s u) * (h ^ 2 * (INR d * (drift s u * sp) ^ 2))); [|right; ring].
    apply Rmult_le_compat; lra.
Qed.

(** ** Continuity, and the integral *)

Lemma covp_bounded s u k l : (k < d)%nat -> (l < d)%nat -> Rabs (covp s u k l) <= 2 * sp ^ 2.
Proof.
  intros Hk Hl. unfold covp. eapply Rle_trans; [apply sumn_abs|]. apply Rle_trans with (sumn n (fun j => ps s j u * (2 * sp ^ 2))); [|rewrite sumn_scal_r, (proj2 (Hps s u)); lra].
  apply sumn_le. intros j Hj. rewrite Rmult_assoc, Rabs_mult, (Rabs_right (ps s j u)) by (apply Rle_ge, (Hps s u); auto). apply Rmult_le_compat_l; [apply (Hps s u); auto|].
  rewrite Rabs_mult. replace (2 * sp ^ 2) with (2 * sp * sp) by ring. apply Rmult_le_compat; try apply Rabs_pos; [|apply coord_spread; auto].
  unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. pose proof (coord_spread d n p y j k Hj Hk). pose proof (xhat_bounded d n p y Hw s u k Hk). lra.
Qed.

Lemma covp_moves s h u k l : Rabs h <= 1 -> (k < d)%nat -> (l < d)%nat -> Rabs (covp (s + h) u k l - covp s u k l) <= Rabs h * drift s u * (3 * sp ^ 2).
Proof.
  intros Hh Hk Hl. rewrite !covp_sym. pose proof (spread_nonneg d n p y) as S0. pose proof (drift_nonneg s u) as D0. pose proof (Rabs_pos h) as H0.
  assert (A1 : Rabs (sumn n (fun j => ps (s + h) j u * (xi_ j k * xi_ j l)) - sumn n (fun j => ps s j u * (xi_ j k * xi_ j l))) <= Rabs h * drift s u * sp ^ 2).
  { apply mean_moves; auto; [apply pow2_ge_0|]. intros j Hj. rewrite Rabs_mult. replace (sp ^ 2) with (sp * sp) by ring. apply Rmult_le_compat; try apply Rabs_pos; apply coord_spread; auto. }
  assert (A2 : forall q, (q < d)%nat -> Rabs (xhat (s + h) u q - xhat s u q) <= Rabs h * drift s u * sp) by (intros q Hq; apply (mean_moves s h u (fun i => xi_ i q) sp Hh S0); intros; apply coord_spread; auto).
  set (ak := xhat s u k). set (al := xhat s u l). set (bk := xhat (s + h) u k). set (bl := xhat (s + h) u l).
  assert (Bk : Rabs ak <= sp) by (apply xhat_bounded; auto). assert (Bl : Rabs bl <= sp) by (apply xhat_bounded; auto).
  assert (X : Rabs (bk * bl - ak * al) <= Rabs h * drift s u * (2 * sp ^ 2)).
  { replace (bk * bl - ak * al) with ((bk - ak) * bl + ak * (bl - al)) by ring. eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult.
    pose proof (A2 k Hk). pose proof (A2 l Hl). fold bk ak in H. fold bl al in H1.
    assert (Rabs (bk - ak) * Rabs bl <= Rabs h * drift s u * sp * sp) by (apply Rmult_le_compat; auto; apply Rabs_pos).
    assert (Rabs ak * Rabs (bl - al) <= sp * (Rabs h * drift s u * sp)) by (apply Rmult_le_compat; auto; apply Rabs_pos).
    replace (Rabs h * drift s u * (2 * sp ^ 2)) with (Rabs h * drift s u * sp * sp + sp * (Rabs h * drift s u * sp)) by ring. lra. }
  match goal with |- Rabs (?a - _ - (?b - _)) <= _ => replace (a - bk * bl - (b - ak * al)) with ((a - b) - (bk * bl - ak * al)) by ring end.
  unfold Rminus at 1. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. replace (Rabs h * drift s u * (3 * sp ^ 2)) with (Rabs h * drift s u * sp ^ 2 + Rabs h * drift s u * (2 * sp ^ 2)) by ring. lra.
Qed.

Lemma tame_frob s : tame d (fun u => rt s u * sumn d (fun k => sumn d (fun l => covp s u k l ^ 2))).
Proof.
  apply tame_mult; [apply tame_mix|]. apply (tame_sum d d (fun k u => sumn d (fun l => covp s u k l ^ 2))). intros k _.
  apply (tame_sum d d (fun l u => covp s u k l ^ 2)). intros l _. apply (tame_pow d (fun u => covp s u k l)), tame_covp.
Qed.

Definition roam (s : R) (u : vec) : R := INR d * INR d * (2 * pace d n p y s u * (2 * sp ^ 2) ^ 2 + rt s u * (drift s u * (3 * sp ^ 2) * (4 * sp ^ 2))).

Lemma frob_moves s h : Rabs h <= 1 -> Rabs (frob (s + h) - frob s) <= Rabs h * E d (roam s).
Proof.
  intros Hh. assert (TR : tame d (roam s)).
  { unfold roam. apply tame_scal. apply tame_plus.
    - apply (tame_mult d (fun u => 2 * pace d n p y s u) (fun _ => (2 * sp ^ 2) ^ 2)); [apply tame_scal, tame_pace|apply tame_const].
    - apply tame_mult; [apply tame_mix|]. apply (tame_mult d (fun u => drift s u * (3 * sp ^ 2)) (fun _ => 4 * sp ^ 2)); [|apply tame_const].
      apply (tame_mult d (drift s) (fun _ => 3 * sp ^ 2)); [apply tame_drift|apply tame_const]. }
  unfold frob. rewrite <- E_minus by apply tame_frob. rewrite <- E_scal by auto. apply E_abs_le; [apply tame_minus; apply tame_frob|apply tame_scal; auto|].
  intros u. rewrite <- !sumn_scal, <- sumn_minus. eapply Rle_trans; [apply sumn_abs|].
  set (W := 2 * pace d n p y s u * (2 * sp ^ 2) ^ 2 + rt s u * (drift s u * (3 * sp ^ 2) * (4 * sp ^ 2))).
  apply Rle_trans with (sumn d (fun _ => INR d * (Rabs h * W))); [|rewrite sumn_const; unfold roam; fold W; right; ring]. apply sumn_le. intros k Hk.
  rewrite <- !sumn_scal, <- sumn_minus. eapply Rle_trans; [apply sumn_abs|]. rewrite <- sumn_const. apply sumn_le. intros l Hl.
  pose proof (mix_pos d n p (mu s) u Hw) as P0. pose proof (pace_nonneg d n p y s u) as Pp. pose proof (drift_nonneg s u) as Pd. pose proof (Rabs_pos h) as Ph.
  set (a := covp s u k l). set (b := covp (s + h) u k l). set (R0 := rt s u) in *. set (R1 := rt (s + h) u).
  assert (Ba : Rabs a <= 2 * sp ^ 2) by (apply covp_bounded; auto). assert (Bb : Rabs b <= 2 * sp ^ 2) by (apply covp_bounded; auto).
  assert (Dab : Rabs (b - a) <= Rabs h * drift s u * (3 * sp ^ 2)) by (apply covp_moves; auto).
  assert (DR : Rabs (R1 - R0) <= Rabs h * (2 * pace d n p y s u)) by (apply (rt_moves d n p y Hw); auto).
  replace (R1 * b ^ 2 - R0 * a ^ 2) with ((R1 - R0) * b ^ 2 + R0 * ((b - a) * (b + a))) by ring. eapply Rle_trans; [apply Rabs_triang|].
  rewrite !Rabs_mult, (Rabs_right R0), (Rabs_right (b ^ 2)) by (try apply Rle_ge, pow2_ge_0; lra).
  assert (B2 : b ^ 2 <= (2 * sp ^ 2) ^ 2) by (rewrite <- pow2_abs; apply pow_incr; split; [apply Rabs_pos|auto]).
  assert (Bs : Rabs (b + a) <= 4 * sp ^ 2) by (eapply Rle_trans; [apply Rabs_triang|lra]).
  assert (X1 : Rabs (R1 - R0) * b ^ 2 <= Rabs h * (2 * pace d n p y s u) * (2 * sp ^ 2) ^ 2) by (apply Rmult_le_compat; auto; [apply Rabs_pos|apply pow2_ge_0]).
  assert (X2 : Rabs (b - a) * Rabs (b + a) <= Rabs h * drift s u * (3 * sp ^ 2) * (4 * sp ^ 2)) by (apply Rmult_le_compat; auto; apply Rabs_pos).
  assert (X3 : R0 * (Rabs (b - a) * Rabs (b + a)) <= R0 * (Rabs h * drift s u * (3 * sp ^ 2) * (4 * sp ^ 2))) by (apply Rmult_le_compat_l; lra).
  unfold W. lra.
Qed.

Lemma continuous_frob s : continuous frob s.
Proof.
  apply continuity_pt_filterlim. intros eps He. set (K := E d (roam s)).
  assert (HK : 0 <= K). { pose proof (frob_moves s 1) as M. rewrite Rabs_R1 in M. specialize (M ltac:(lra)). pose proof (Rabs_pos (frob (s + 1) - frob s)). unfold K. lra. }
  exists (Rmin 1 (eps / (K + 1))). split; [apply Rmin_pos; [lra|apply Rdiv_lt_0_compat; lra]|].
  intros z [_ Hz]. unfold dist in *; simpl in *. unfold R_dist in *.
  assert (L1 : Rabs (z - s) < 1) by (eapply Rlt_le_trans; [exact Hz|apply Rmin_l]). assert (L2 : Rabs (z - s) < eps / (K + 1)) by (eapply Rlt_le_trans; [exact Hz|apply Rmin_r]).
  pose proof (frob_moves s (z - s) ltac:(lra)) as M. replace (s + (z - s)) with z in M by ring. fold K in M.
  apply Rmult_lt_compat_r with (r := K + 1) in L2; [|lra]. unfold Rdiv in L2. rewrite Rmult_assoc, Rinv_l, Rmult_1_r in L2 by lra. pose proof (Rabs_pos (z - s)). nra.
Qed.

Lemma explained_zero : expl 0 = 0.
Proof.
  unfold explained. rewrite (E_ext d _ (fun _ => 0)); [apply E_const|]. intros u.
  assert (X : forall k, xhat 0 u k = 0).
  { intros k. rewrite (xhat_coord d n p y). unfold Rdiv. apply Rmult_eq_0_compat_r. rewrite (sumn_ext n _ (fun i => p i * xi_ i k)).
    - apply xi_centred. exact Hw.
    - intros i _. unfold ratio. rewrite dot_scal_l, sq_scal, exp_zero by field. ring. }
  unfold sq, dot. rewrite sumn_zero; [ring|]. intros k _. rewrite X. ring.
Qed.

(** [KL = int_0^(sqrt g) s (g - s^2) E|C|_F^2 ds], which with [h = s^2] is [1/2 int_0^g (g - h) E|C_h|_F^2 dh]. *)
Theorem B11_integral g : 0 <= g -> is_RInt (fun s => s * (g - s ^ 2) * frob s) 0 (sqrt g) (KL d n p (shift n p y g)).
Proof.
  intros Hg. change (KL d n p (shift n p y g)) with (H d n p y (sqrt g)).
  (* d/ds [KL + (g - s^2) explained / 2] is the integrand *)
  assert (D : is_RInt (fun s => s * (g - s ^ 2) * frob s) 0 (sqrt g)
    (minus (H d n p y (sqrt g) + (g - sqrt g ^ 2) * expl (sqrt g) / 2) (H d n p y 0 + (g - 0 ^ 2) * expl 0 / 2))).
  { apply (is_RInt_derive (fun s => H d n p y s + (g - s ^ 2) * expl s / 2) (fun s => s * (g - s ^ 2) * frob s)).
    - intros s _. pose proof (derive_KL d n p y Hw s) as D1. pose proof (B11_rate s) as D2.
      auto_derive; [repeat split; [exists (s * expl s); exact D1|exists (2 * s * frob s); exact D2]|]. rate D1. rate D2. field.
    - intros s _. apply (continuous_mult (K := R_AbsRing) (fun s => s * (g - s ^ 2)) frob); [|apply continuous_frob].
      apply (ex_derive_continuous (fun s => s * (g - s ^ 2))). auto_derive. auto. }
  replace (H d n p y (sqrt g)) with (minus (H d n p y (sqrt g) + (g - sqrt g ^ 2) * expl (sqrt g) / 2) (H d n p y 0 + (g - 0 ^ 2) * expl 0 / 2)); auto.
  rewrite (KL_zero d n p y Hw), explained_zero, pow2_sqrt by auto. unfold minus, plus, opp; simpl. field.
Qed.
End Rate.
